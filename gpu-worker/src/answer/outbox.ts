// The queue between the engine's stream and the client's.
import {
  EventSchema,
  type GenerateResponse,
  GenerateResponseSchema,
} from "@anabranch/shared/proto/anabranch/v1/lane_events_pb.js";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { merged } from "./merged.ts";

const HEARTBEAT_MS = 1_000;
/** The first one comes sooner: until a request has said something, the gateway may hold others of its tenant back. */
const FIRST_HEARTBEAT_MS = 100;
/** Messages that go out as one, at most. */
const MAX_MERGED = 64;
/** Messages beyond these wait as bytes, which take a fraction of the memory: a client may read slowly, or not at all. */
const MAX_OBJECTS = 16;

/** Messages that wait for the client, and heartbeats while the engine is silent. */
export class Outbox {
  readonly #waiting: (GenerateResponse | Uint8Array)[] = [];
  #wake: (() => void) | undefined;
  #ended = false;
  #error: Error | undefined;

  put(response: GenerateResponse): void {
    const isFar = this.#waiting.length >= MAX_OBJECTS;
    this.#waiting.push(isFar ? toBinary(GenerateResponseSchema, response) : response);
    this.#wake?.();
  }
  end(error?: Error): void {
    this.#ended = true;
    this.#error ??= error;
    this.#wake?.();
  }

  async *read(): AsyncGenerator<GenerateResponse> {
    for (let patience = FIRST_HEARTBEAT_MS; ; patience = HEARTBEAT_MS) {
      while (this.#waiting.length > 0) yield this.#take();
      if (this.#error) throw this.#error;
      if (this.#ended) return;
      const silent = await this.#wait(patience);
      if (silent) yield create(GenerateResponseSchema, { events: [heartbeat()] });
    }
  }

  /** What waits, as one message: to read many costs the gateway more. */
  #take(): GenerateResponse {
    return merged(
      this.#waiting
        .splice(0, MAX_MERGED)
        .map((each) =>
          each instanceof Uint8Array ? fromBinary(GenerateResponseSchema, each) : each,
        ),
    );
  }

  /** Resolves with true if nothing arrives within `ms`. */
  #wait(ms: number): Promise<boolean> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        this.#wake = undefined;
        resolve(true);
      }, ms);
      this.#wake = () => {
        clearTimeout(timer);
        this.#wake = undefined;
        resolve(false);
      };
    });
  }
}

const heartbeat = () =>
  create(EventSchema, {
    event: { case: "heartbeat", value: { $typeName: "anabranch.v1.Heartbeat" } },
  });
