// From the engine's stream of an answer to the worker's.
import type { Readable } from "node:stream";
import { FinishReason } from "@anabranch/shared/proto/anabranch/v1/answer_pb.js";
import type {
  EngineEvent,
  EngineGenerateResponse,
} from "@anabranch/shared/proto/anabranch/v1/engine_pb.js";
import {
  type Event,
  GenerateResponseSchema,
} from "@anabranch/shared/proto/anabranch/v1/lane_events_pb.js";
import { create } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import type { Outbox } from "./answer/outbox.ts";
import { connectError } from "./engine/streams.ts";
import type { AnswerClock } from "./metrics.ts";
import type { TextModel } from "./model/text-model.ts";

/** Reads one answer, or one branch of it after another. */
export interface AnswerReader {
  events(branch: number, engineEvents: readonly EngineEvent[]): Event[];
  isStopped(branch: number): boolean;
}

export interface RelayParts {
  reader: AnswerReader;
  text: TextModel;
  clock: AnswerClock;
  /** Called once a stop string ends the answer or a branch of it. */
  stop: (branch: number) => void;
  outbox: Outbox;
  /** Stands before the engine's refusals. */
  where: string;
  /** What comes after the answer's beginning, before its text; absent: nothing. */
  echo?: () => Promise<Event>;
}

export class Relay {
  readonly #parts: RelayParts;

  constructor(parts: RelayParts) {
    this.#parts = parts;
  }

  /** Puts all of the engine's stream into the outbox. */
  attach(stream: Readable): void {
    const { echo, outbox } = this.#parts;
    stream.on("data", (response: EngineGenerateResponse) => {
      try {
        const [first, ...others] = this.#receive(response);
        if (!first) return;
        if (!echo || first.event.case !== "started") return this.#put([first, ...others]);
        this.#put([first]);
        stream.pause();
        echo().then(
          (event) => {
            this.#put([event, ...others]);
            stream.resume();
          },
          (error) => this.fail(error),
        );
      } catch (error) {
        // A fault while ids become text ends this answer, not the worker.
        this.fail(ConnectError.from(error, Code.Internal));
      }
    });
    stream.on("error", (error) => this.fail(error));
    stream.on("end", () => outbox.end());
  }

  /** Puts an answer of which everything is known already. */
  put(events: readonly (EngineEvent | Event)[]): void {
    this.#put(
      events.flatMap((each) =>
        each.$typeName === "anabranch.v1.Event" ? each : this.#read(0, [each]),
      ),
    );
  }

  /** Ends the answer with an error. */
  fail(error: Error): void {
    const { clock, outbox, where } = this.#parts;
    const cause = connectError(error, where);
    clock.end(cause.code === Code.Canceled ? FinishReason.CANCELLED : "failed");
    outbox.end(cause);
  }

  #receive({ events, branch }: EngineGenerateResponse): Event[] {
    const { reader, clock, stop } = this.#parts;
    if (events.some(({ event }) => event.case === "tokens")) clock.message();
    const wasStopped = reader.isStopped(branch);
    const out = this.#read(branch, events);
    if (reader.isStopped(branch) && !wasStopped) stop(branch);
    return out;
  }

  #read(branch: number, engineEvents: readonly EngineEvent[]): Event[] {
    const { reader, clock, text } = this.#parts;
    const events = reader.events(branch, engineEvents);
    for (const { event } of events) {
      if (event.case === "finished") clock.finish(event.value);
      if (event.case !== "started") continue;
      event.value.modelDigest = text.digestWith(event.value.modelDigest);
    }
    return events;
  }

  #put(events: Event[]): void {
    if (events.length > 0) this.#parts.outbox.put(create(GenerateResponseSchema, { events }));
  }
}
