// Answers that are being decoded, and the requests that follow them. The request that began an answer, its leader,
// tells its messages here as long as others follow; each follower reads from the first message at its own pace. A
// leader that falls silent is given up: its followers ask again, and the first of them leads.
import { endFrame } from "./frames.ts";

/** A leader that is silent for this long is given up. */
const silentMs = 3_000;
const lookMs = 500;

interface Flight {
  leader: string;
  /** Of the request, if its key does not say it. */
  fingerprint: string;
  heardAt: number;
  /** Encoded messages, from the first one on; empty while nobody follows. */
  told: Uint8Array[];
  followers: number;
  end: "complete" | "lost" | null;
  /** Resolves at the next change. */
  changed: PromiseWithResolvers<void>;
}

/** What a request that asks for a running answer gets. */
export type Joined =
  | { kind: "lead" }
  | { kind: "follow"; stream: ReadableStream<Uint8Array> }
  /** Another request has the same key. */
  | { kind: "conflict" };

export class Flights {
  readonly #flights = new Map<string, Flight>();
  #timer: ReturnType<typeof setInterval> | null = null;

  /** Leads the answer under `key`, or follows whoever does. */
  join(key: string, leader: string, fingerprint: string): Joined {
    const known = this.#flights.get(key);
    if (known && known.fingerprint !== fingerprint) return { kind: "conflict" };
    if (known && known.leader !== leader) return { kind: "follow", stream: this.#follow(known) };
    const facts = { leader, fingerprint, heardAt: Date.now() };
    const state = { told: [], followers: 0, end: null, changed: Promise.withResolvers<void>() };
    this.#flights.set(key, { ...facts, ...state });
    this.#timer ??= setInterval(() => this.#giveUpSilent(), lookMs);
    return { kind: "lead" };
  }

  /** Takes the next messages, if there are any. Returns how many follow. */
  tell(key: string, leader: string, messages: Uint8Array | null): number {
    const flight = this.#flights.get(key);
    if (flight?.leader !== leader) return 0;
    flight.heardAt = Date.now();
    if (messages) this.#append(flight, messages);
    return flight.followers;
  }

  /** The answer has ended: `all` its messages; null: it is not complete, and whoever follows asks again. */
  end(key: string, leader: string, all: Uint8Array | null): void {
    const flight = this.#flights.get(key);
    if (flight?.leader !== leader) return;
    const told = flight.told.reduce((sum, { byteLength }) => sum + byteLength, 0);
    if (all) this.#append(flight, all.subarray(told));
    this.#end(key, flight, all ? "complete" : "lost");
  }

  #append(flight: Flight, messages: Uint8Array): void {
    flight.told.push(messages);
    this.#wake(flight);
  }

  #end(key: string, flight: Flight, end: "complete" | "lost"): void {
    this.#flights.delete(key);
    flight.end = end;
    this.#wake(flight);
    if (this.#flights.size > 0 || this.#timer === null) return;
    clearInterval(this.#timer);
    this.#timer = null;
  }

  #wake(flight: Flight): void {
    flight.changed.resolve();
    flight.changed = Promise.withResolvers();
  }

  #giveUpSilent(): void {
    const since = Date.now() - silentMs;
    for (const [key, flight] of this.#flights) {
      if (flight.heardAt < since) this.#end(key, flight, "lost");
    }
  }

  #follow(flight: Flight): ReadableStream<Uint8Array> {
    const { readable, writable } = new IdentityTransformStream();
    flight.followers++;
    void this.#write(flight, writable.getWriter())
      // The follower left.
      .catch(() => undefined)
      .finally(() => flight.followers--);
    return readable;
  }

  async #write(flight: Flight, writer: WritableStreamDefaultWriter<Uint8Array>): Promise<void> {
    let written = 0;
    for (;;) {
      const messages = flight.told[written];
      if (messages) {
        await writer.write(messages);
        written++;
      } else if (flight.end === null) {
        await flight.changed.promise;
      } else {
        if (flight.end === "complete") await writer.write(endFrame);
        return await writer.close();
      }
    }
  }
}
