import { AnswerDocument } from "@anabranch/shared/answer-document.ts";
import {
  type Event,
  EventSchema,
  type GenerateResponse,
  GenerateResponseSchema,
  type TokenLogprob,
} from "@anabranch/shared/proto/anabranch/v1/lane_events_pb.js";
import { create, toJson } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { Outbox } from "./outbox.ts";

const stage = 1;
const lanes = [1, 2, 3];

function delta(at: number): Event["event"] {
  const top = [{ tokenId: at, logprob: -at / 8, text: Uint8Array.of(at % 256) }];
  const logprobs = [{ ...top[0], top }];
  const lane = at % 4;
  const value = { lane, text: `word ${at} ü`, tokenIds: [at], logprobs, visibleTokens: 1 };
  return create(EventSchema, { event: { case: "delta", value } }).event;
}

/** A stage of three branches that end one after another, beside a trunk that goes on. */
const eventsAt = (at: number): Event["event"][] => {
  const end = lanes.find((lane) => at === 30 + 10 * lane);
  return [
    ...(at === 1
      ? [create(EventSchema, { event: { case: "stageOpened", value: { stage, lanes } } }).event]
      : []),
    ...(end ? [] : [delta(at)]),
    ...(end
      ? [create(EventSchema, { event: { case: "branchClosed", value: { lane: end } } }).event]
      : []),
  ];
};

const message = (at: number): GenerateResponse =>
  create(GenerateResponseSchema, { events: eventsAt(at).map((event) => ({ event })) });

const shown = (all: readonly GenerateResponse[]) =>
  all.map((each) => toJson(GenerateResponseSchema, each));

/** What is told, however it is cut into messages: each lane's deltas, and what the document makes of all. */
function told(all: readonly GenerateResponse[]) {
  const document = new AnswerDocument<TokenLogprob>();
  const ids = new Map<number, number[]>();
  let visible = 0;
  const others: string[] = [];
  for (const { event } of all.flatMap(({ events }) => events)) {
    document.apply(event);
    if (event.case === "delta") {
      ids.set(event.value.lane, [...(ids.get(event.value.lane) ?? []), ...event.value.tokenIds]);
      visible += event.value.visibleTokens;
    } else {
      const lane = event.case === "branchClosed" ? event.value.lane : 0;
      others.push(`${event.case} ${lane} after ${ids.get(lane)?.join() ?? "nothing"}`);
    }
  }
  return { runs: document.runs, ids, visible, others };
}

const put = (outbox: Outbox, from: number, to: number) => {
  for (let at = from; at < to; at++) outbox.put(message(at));
};

async function take(read: AsyncGenerator<GenerateResponse>, count: number) {
  const got: GenerateResponse[] = [];
  while (got.length < count) got.push((await read.next()).value as GenerateResponse);
  return got;
}

async function rest(read: AsyncGenerator<GenerateResponse>) {
  const got: GenerateResponse[] = [];
  for await (const each of read) got.push(each);
  return got;
}

describe("the queue of an answer", () => {
  it("gives each message as it was put to a reader that keeps up", async () => {
    const outbox = new Outbox();
    const read = outbox.read();
    for (let at = 0; at < 20; at++) {
      put(outbox, at, at + 1);
      expect(shown(await take(read, 1))).toEqual(shown([message(at)]));
    }
  });

  it("gives what waits for a slow reader as one, and then the end", async () => {
    const outbox = new Outbox();
    const read = outbox.read();
    put(outbox, 0, 40);
    const got = await take(read, 1);
    put(outbox, 40, 70);
    outbox.end(new Error("gone"));
    got.push(...(await take(read, 1)));
    const all = Array.from({ length: 70 }, (_, at) => message(at));
    expect(told(got)).toEqual(told(all));
    expect(got.flatMap(({ events }) => events).length).toBeLessThan(25);
    await expect(read.next()).rejects.toThrow("gone");
  });

  it("tells a slow reader the same, whenever it reads", async () => {
    const all = Array.from({ length: 70 }, (_, at) => message(at));
    for (let seed = 1; seed <= 50; seed++) {
      let state = seed;
      const roll = (below: number) => {
        state = (state * 48_271) % 2_147_483_647;
        return state % below;
      };
      const outbox = new Outbox();
      const read = outbox.read();
      const got: GenerateResponse[] = [];
      for (let at = 0; at < all.length; ) {
        const next = Math.min(all.length, at + 1 + roll(12));
        put(outbox, at, next);
        at = next;
        got.push(...(await take(read, 1)));
      }
      outbox.end();
      got.push(...(await rest(read)));
      expect(told(got)).toEqual(told(all));
    }
  });
});
