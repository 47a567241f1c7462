// An engine as benchmarks use it: many requests at once, each with its own ear and its own end.
import {
  type Engine,
  type EngineEvent,
  type EngineOptions,
  type EngineRequest,
  type EngineUsage,
  openEngine,
} from "@anabranch/native";

export interface End {
  reason: number;
  usage: EngineUsage;
}

interface Waiting {
  hear: (events: readonly EngineEvent[]) => void;
  resolve: (end: End) => void;
  reject: (error: Error) => void;
}

export class Serving {
  readonly engine: Engine;
  readonly #waiting = new Map<number, Waiting>();
  #next = 1;

  constructor(options: EngineOptions) {
    this.engine = openEngine(
      options,
      (byRequest) => {
        for (const [id, events] of byRequest) this.#tell(id, events);
      },
      (message) => {
        for (const { reject } of this.#waiting.values()) reject(new Error(`engine: ${message}`));
      },
    );
  }

  /** Submits a request; `hear` gets each step's events of it, the last one included. */
  ask(
    request: Omit<EngineRequest, "id">,
    hear: Waiting["hear"] = () => {},
  ): { id: number; end: Promise<End> } {
    const id = this.#next++;
    this.engine.submit({ ...request, id });
    const end = new Promise<End>((resolve, reject) => {
      this.#waiting.set(id, { hear, resolve, reject });
    });
    return { id, end };
  }

  #tell(id: number, events: readonly EngineEvent[]): void {
    const waiting = this.#waiting.get(id);
    if (!waiting) return;
    const last = events.at(-1);
    if (last?.kind === "finished") this.#waiting.delete(id);
    waiting.hear(events);
    if (last?.kind === "finished") waiting.resolve({ reason: last.reason, usage: last.usage });
  }
}
