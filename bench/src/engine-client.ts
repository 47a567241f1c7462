// A client of one engine in this process, for many requests at once.
import {
  type Engine,
  type EngineEvent,
  type EngineOptions,
  type EngineRequest,
  type EngineUsage,
  openEngine,
  type StructureRun,
} from "@anabranch/native";

export interface Finished {
  reason: number;
  usage: EngineUsage;
}

interface Pending {
  onEvents: (events: readonly EngineEvent[]) => void;
  resolve: (finished: Finished) => void;
  reject: (error: Error) => void;
}

export class EngineClient {
  readonly engine: Engine;
  readonly #pending = new Map<number, Pending>();
  #nextId = 1;

  constructor(options: EngineOptions) {
    this.engine = openEngine(
      options,
      (byRequest) => {
        for (const [id, events] of byRequest) this.#dispatch(id, events);
      },
      (message) => {
        for (const { reject } of this.#pending.values()) reject(new Error(`engine: ${message}`));
      },
    );
  }

  /** Submits a request. `onEvents` gets the request's events of each step, including the last. */
  submit(
    request: Omit<EngineRequest, "id">,
    onEvents: Pending["onEvents"] = () => {},
  ): { id: number; finished: Promise<Finished> } {
    const id = this.#nextId++;
    this.engine.submit({ ...request, id });
    const finished = new Promise<Finished>((resolve, reject) => {
      this.#pending.set(id, { onEvents, resolve, reject });
    });
    return { id, finished };
  }

  #dispatch(id: number, events: readonly EngineEvent[]): void {
    const pending = this.#pending.get(id);
    if (!pending) return;
    const last = events.at(-1);
    if (last?.kind === "finished") this.#pending.delete(id);
    pending.onEvents(events);
    if (last?.kind === "finished") pending.resolve({ reason: last.reason, usage: last.usage });
  }
}

/** Tokens in all serial texts and branches. */
export const tokenCount = (runs: readonly StructureRun[]): number =>
  runs
    .flatMap((run) => ("serial" in run ? [run.serial] : run.parallel))
    .reduce((sum, { length }) => sum + length, 0);
