// One request's part in an answer that equal requests share: a kept answer is read, one that is being decoded is
// followed, and a request that leads tells its messages and keeps the whole.
import { FinishReason } from "@anabranch/shared/proto/anabranch/v1/answer_pb.js";
import type { GenerateResponse } from "@anabranch/shared/proto/anabranch/v1/lane_events_pb.js";
import { answersObject, type Environment } from "../environment.ts";
import {
  decodeMessages,
  encodeMessages,
  frame,
  type MessageStream,
  messageStream,
  unframe,
} from "./frames.ts";

/** The logs of an answer's choices, in order. */
export type Logs = readonly (readonly GenerateResponse[])[];

export interface SharedFacts {
  tenantId: string;
  key: string;
  /** Of the request, if its key does not say it. */
  fingerprint: string;
  model: string;
  requestId: string;
}

export type OpenedAnswer =
  | { kind: "hit"; logs: GenerateResponse[][] }
  | { kind: "lead" }
  | { kind: "follow"; stream: MessageStream }
  | { kind: "conflict" };

/** How often a leader says that it lives, and how often it tells its messages while others follow. */
const aloneMs = 500;
const followedMs = 50;

/** Every choice ran to its own end, and none was cut off. */
function areComplete(logs: Logs): boolean {
  return logs.every((log) => {
    const last = log.at(-1)?.events.at(-1)?.event;
    if (last?.case !== "finished") return false;
    return [FinishReason.STOP, FinishReason.LENGTH].includes(last.value.reason);
  });
}

const encode = (logs: Logs): ArrayBuffer => frame(logs.map(encodeMessages)).buffer;
const decode = (buffer: ArrayBuffer) => unframe(new Uint8Array(buffer)).map(decodeMessages);

export class SharedAnswer {
  readonly #env: Environment;
  readonly #facts: SharedFacts;
  #leading = false;

  constructor(env: Environment, facts: SharedFacts) {
    this.#env = env;
    this.#facts = facts;
  }

  /** Reads, follows or leads. A cache that fails makes everybody lead. */
  async open(): Promise<OpenedAnswer> {
    const { key, requestId, fingerprint } = this.#facts;
    try {
      const opened = await this.#object.open(key, requestId, fingerprint);
      if (opened.kind === "hit") {
        const logs = decode(opened.log);
        if (areComplete(logs)) return { kind: "hit", logs };
      } else if (opened.kind === "follow") {
        return { kind: "follow", stream: messageStream(opened.stream) };
      } else if (opened.kind === "conflict") {
        return opened;
      }
    } catch (error) {
      console.error("the answer cache could not be read", error);
    }
    this.#leading = true;
    return { kind: "lead" };
  }

  /** Tells the messages in `log`, which grows, to whoever follows, until the answer ends. Never rejects. */
  async tell(log: readonly GenerateResponse[]): Promise<void> {
    const { key, requestId } = this.#facts;
    let told = 0;
    for (let followers = 0; ; ) {
      await scheduler.wait(followers > 0 ? followedMs : aloneMs);
      if (!this.#leading) return;
      const end = log.length;
      const news = followers > 0 && end > told ? encodeMessages(log.slice(told, end)) : null;
      try {
        followers = await this.#object.tell(key, requestId, news);
        if (news) told = end;
      } catch (error) {
        console.error("the followers of an answer were not told", error);
        return;
      }
    }
  }

  /** The answer is complete. Never rejects. */
  async keep(logs: Logs): Promise<void> {
    if (!this.#leading) return;
    if (!areComplete(logs)) return this.abandon();
    this.#leading = false;
    const { key, requestId, fingerprint, model } = this.#facts;
    const [first] = logs;
    const all = first && logs.length === 1 ? encodeMessages(first) : new Uint8Array();
    try {
      const entry = { log: encode(logs), fingerprint, model };
      await this.#object.keep(key, requestId, all, entry);
    } catch (error) {
      console.error("the answer cache could not be written", error);
    }
  }

  /** Nothing comes of it: whoever follows leads. Never rejects. */
  async abandon(): Promise<void> {
    if (!this.#leading) return;
    this.#leading = false;
    try {
      await this.#object.abandon(this.#facts.key, this.#facts.requestId);
    } catch (error) {
      console.error("the followers of an answer were not told of its end", error);
    }
  }

  get #object() {
    return answersObject(this.#env, this.#facts.tenantId);
  }
}
