// One request of the playground and its answer as it grows. What changes is drawn once per frame of the screen.

import { LaneAnswer } from "@anabranch/shared/lane-answer.ts";
import { serverSentData } from "@anabranch/shared/server-sent-data.ts";
import { signal } from "@preact/signals";
import { Failure } from "../api/failure.ts";
import { key } from "../session.ts";
import { type Chunk, EventLog, type RunEvent, type Usage } from "./event-log.ts";
import type { ChatRequest } from "./settings.ts";

const brokeOff = "The answer broke off: the gateway has ended. Try again.";

/** `waiting`: it is not sent yet. */
export type Status = "waiting" | "running" | "done" | "stopped" | "failed";
export const isOver = (status: Status): boolean => status !== "waiting" && status !== "running";

/** A run as files and the tab's storage keep it. */
export interface SavedRun {
  request: ChatRequest;
  events: readonly RunEvent[];
  status: Status;
  problem: string | null;
  mode: string | null;
  cache: string | null;
  ms: number;
}

/** The page is being left or loaded again, which ends its requests. */
let leaving = false;
addEventListener("beforeunload", () => {
  leaving = true;
});
addEventListener("pageshow", () => {
  leaving = false;
});

export class Run {
  readonly request: ChatRequest;
  readonly answer = new LaneAnswer();
  /** Read by what is drawn anew with every change. */
  readonly frame = signal(0);
  /** Read by what only changes when a branch opens, is accepted or ends. */
  readonly structure = signal(0);
  readonly status = signal<Status>("waiting");
  problem: string | null = null;
  /** What was decided for mode `auto`. */
  mode: string | null = null;
  /** "hit": the answer had been given before. */
  cache: string | null = null;
  usage: Usage | null = null;
  /** Of the whole answer, and to its first text; ms since the request was sent. */
  ms: number | null = null;
  firstTextMs: number | null = null;
  /** When it was sent, on the clock of `performance`; null before. */
  began: number | null = null;

  readonly #log = new EventLog();
  readonly #stop = new AbortController();
  #drawing = false;

  constructor(request: ChatRequest) {
    this.request = request;
  }

  static opened(saved: SavedRun): Run {
    const run = new Run(saved.request);
    for (const { at, chunk } of saved.events) run.#take(chunk, at);
    Object.assign(run, { problem: saved.problem, mode: saved.mode, cache: saved.cache });
    run.ms = saved.ms;
    // A reload ended what was running then.
    run.status.value = isOver(saved.status) ? saved.status : "stopped";
    return run;
  }

  get events(): readonly RunEvent[] {
    return this.#log.events;
  }

  get saved(): SavedRun {
    const { request, events, problem, mode, cache } = this;
    const [status, ms] = [this.status.peek(), this.ms ?? this.elapsed];
    return { request, events, status, problem, mode, cache, ms };
  }

  /** ms since the request was sent, or until its end. */
  get elapsed(): number {
    return this.ms ?? this.#now;
  }

  get #now(): number {
    return this.began === null ? 0 : performance.now() - this.began;
  }

  /** Sends the request. Resolves when the answer has ended, however it ends. */
  async send(): Promise<void> {
    if (this.status.value !== "waiting") return;
    this.began = performance.now();
    this.status.value = "running";
    try {
      const response = await fetch("/v1/chat/completions", {
        method: "POST",
        headers: { authorization: `Bearer ${key.value}`, "content-type": "application/json" },
        body: JSON.stringify(this.request),
        signal: this.#stop.signal,
      });
      if (!response.ok) throw await Failure.of(response);
      this.mode = response.headers.get("x-anabranch-mode");
      this.cache = response.headers.get("x-anabranch-cache");
      for await (const data of serverSentData(response)) {
        const chunk = data as Chunk;
        this.#take(chunk, this.#now);
        if (chunk.error) throw Failure.ofBody(502, chunk);
        this.#draw();
      }
      if (this.answer.finishReason === null) {
        throw new Failure(0, brokeOff);
      }
      this.#end("done");
    } catch (error) {
      const stopped = this.#stop.signal.aborted || leaving;
      if (!stopped) this.problem = this.#problemOf(error);
      this.#end(stopped ? "stopped" : "failed");
    }
  }

  #problemOf(error: unknown): string {
    const failure = Failure.from(error);
    return failure.isLost && this.answer.text !== "" ? brokeOff : failure.message;
  }

  stop(): void {
    this.#stop.abort();
    if (this.status.value === "waiting") this.#end("stopped");
  }

  #take(chunk: Chunk, at: number): void {
    const changes = chunk.error ? [] : this.answer.push(chunk);
    // After the answer has read it: the log may add to a chunk what comes later.
    this.#log.push({ at, chunk });
    if (changes.some(({ kind }) => kind !== "text")) this.structure.value++;
    if (chunk.usage) this.usage = chunk.usage;
    if (changes.some((change) => change.kind === "text" && change.text !== "")) {
      this.firstTextMs ??= at;
    }
  }

  #end(status: Status): void {
    this.ms = this.#now;
    this.status.value = status;
    this.frame.value++;
  }

  #draw(): void {
    if (this.#drawing) return;
    this.#drawing = true;
    requestAnimationFrame(() => {
      this.#drawing = false;
      this.frame.value++;
    });
  }
}
