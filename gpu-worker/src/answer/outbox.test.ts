import {
  EventSchema,
  type GenerateResponse,
  GenerateResponseSchema,
} from "@anabranch/shared/proto/anabranch/v1/lane_events_pb.js";
import { create, toJson } from "@bufbuild/protobuf";
import { expect, it } from "vitest";
import { Outbox } from "./outbox.ts";

function message(at: number): GenerateResponse {
  const top = [{ tokenId: at, logprob: -at / 8, text: Uint8Array.of(at % 256) }];
  const logprobs = [{ ...top[0], top }];
  const value = { lane: at % 3, text: `word ${at} ü`, tokenIds: [at], logprobs, visibleTokens: 1 };
  const events = [create(EventSchema, { event: { case: "delta", value } })];
  return create(GenerateResponseSchema, { events });
}

it("gives what waits for a slow reader as it was put, in order, and then the end", async () => {
  const outbox = new Outbox();
  const messages = Array.from({ length: 60 }, (_, at) => message(at));
  for (const each of messages.slice(0, 40)) outbox.put(each);
  const read = outbox.read();
  const got: GenerateResponse[] = [];
  const take = async (count: number) => {
    for (; count > 0; count--) got.push((await read.next()).value as GenerateResponse);
  };
  await take(30);
  for (const each of messages.slice(40)) outbox.put(each);
  outbox.end(new Error("gone"));
  await take(30);
  const shown = (all: GenerateResponse[]) =>
    all.map((each) => toJson(GenerateResponseSchema, each));
  expect(shown(got)).toEqual(shown(messages));
  await expect(read.next()).rejects.toThrow("gone");
});
