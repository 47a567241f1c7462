// One document for worker, gateway and client: whatever the order in which lanes grow, all three read
// the same answer, cut at the first stop string as OpenAI means it.

import { AnswerDocument } from "@anabranch/shared/answer-document.ts";
import { LaneAnswer } from "@anabranch/shared/lane-answer.ts";
import { textOfParts } from "@anabranch/shared/parts.ts";
import { CloseReason, FinishReason } from "@anabranch/shared/proto/anabranch/v1/answer_pb.js";
import {
  type EngineEvent,
  EngineEventSchema,
} from "@anabranch/shared/proto/anabranch/v1/engine_pb.js";
import type { TokenLogprob } from "@anabranch/shared/proto/anabranch/v1/lane_events_pb.js";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { Answer } from "../../gpu-worker/src/answer/answer.ts";
import type { TextModel } from "../../gpu-worker/src/model/text-model.ts";
import { LanesPresenter } from "../src/aggregation/lanes-presenter.ts";
import { OrderedPresenter } from "../src/aggregation/ordered-presenter.ts";
import type { Fragment } from "../src/aggregation/presenter.ts";
import { randomness } from "../test/randomness.ts";

type EventInit = NonNullable<MessageInitShape<typeof EngineEventSchema>["event"]>;
const event = (init: EventInit): EngineEvent => create(EngineEventSchema, { event: init });

/** A model whose tokens are letters. */
const letters = {
  decode: (ids: readonly number[]) => String.fromCharCode(...ids),
} as unknown as TextModel;

type Below = (below: number) => number;

/** Few letters, so that a stop string is found often and nearly found more often. */
const word = (below: Below, longest: number) =>
  Array.from({ length: 1 + below(longest) }, () => "abc"[below(3)]).join("");

/** An engine's events by step, and the text they make in document order. */
function randomAnswer(below: Below): { steps: EngineEvent[][]; text: string } {
  const steps: EngineEvent[][] = [];
  let text = "";
  let lane = 0;
  const delta = (at: number, said: string) => {
    const tokenIds = [...said].map((letter) => letter.charCodeAt(0));
    const visible = tokenIds.map((tokenId) => ({ tokenId }));
    return event({ case: "tokens", value: { lane: at, tokenIds, visible } });
  };
  // Serial text is longer than any stop string: one that spans two stages and the text between them is not
  // recognised (gpu-worker/src/answer/answer.ts, stageOpened).
  const serial = () => {
    const said = `${word(below, 5)}abc`;
    text += said;
    for (const letter of said) steps.push([delta(0, letter)]);
  };
  serial();
  for (let stage = 1; stage <= 1 + below(2); stage++) {
    const branches = Array.from({ length: 2 + below(3) }, () => ({
      lane: ++lane,
      left: [...word(below, 6)],
    }));
    text += branches.flatMap(({ left }) => left).join("");
    const lanes = branches.map((branch) => branch.lane);
    const titles = lanes.map((each) => ({ ids: [64 + each] }));
    steps.push([event({ case: "stageOpened", value: { stage, lanes, titles } })]);
    let open = branches;
    while (open.length > 0) {
      const step: EngineEvent[] = [];
      // Any lanes, in any order: the document must not depend on who grows first.
      const growing = open.filter(() => below(3) > 0).sort(() => below(3) - 1);
      for (const branch of growing) {
        const letter = branch.left.shift();
        if (letter !== undefined) step.push(delta(branch.lane, letter));
        else {
          const value = { lane: branch.lane, reason: CloseReason.MARKER };
          step.push(event({ case: "branchClosed", value }));
        }
      }
      open = open.filter((branch) => !step.some(({ event: it }) => closes(it, branch.lane)));
      if (open.length === 0) step.push(event({ case: "stageClosed", value: { stage } }));
      steps.push(step);
    }
    serial();
  }
  steps.push([event({ case: "finished", value: { reason: FinishReason.STOP } })]);
  return { steps, text };
}

const closes = (it: EngineEvent["event"], lane: number) =>
  it.case === "branchClosed" && it.value.lane === lane;

/** Where the first stop string is complete; of two that end together the longer counts. */
function cut(text: string, stops: readonly string[]): string {
  for (let end = 1; end <= text.length; end++) {
    const found = stops.filter((stop) => text.slice(0, end).endsWith(stop));
    if (found.length > 0) return text.slice(0, end - Math.max(...found.map((stop) => stop.length)));
  }
  return text;
}

/** What each reader makes of an answer, by the worker's, the gateway's and the client's own code. */
function deliver(steps: readonly EngineEvent[][], stops: string[]) {
  const worker = new Answer(letters, stops, { seed: 0n, promptTokenIds: [] });
  const document = new AnswerDocument<TokenLogprob>();
  const presenter = new OrderedPresenter(document);
  const lanes = new LanesPresenter();
  const client = new LaneAnswer();
  let ordered = "";
  const send = (text: string, mark: Fragment["mark"]) => {
    const chunk = { choices: [{ delta: { content: text } }], anabranch: mark };
    client.push(chunk);
  };
  for (const step of steps) {
    for (const { event } of worker.events(step)) {
      const change = document.apply(event);
      if (!change) continue;
      for (const { text } of presenter.push(change)) ordered += text;
      for (const { text, mark } of lanes.push(change)) send(text, mark);
      if (change.kind === "finished") send("", lanes.closingMark(change.stoppedIn));
    }
  }
  expect(client.message.anabranch.parts).toEqual(document.parts);
  if (!worker.stopped) expect(worker.document.parts).toEqual(document.parts);
  return { ordered, whole: document.text, lanes: client.text, parts: textOfParts(document.parts) };
}

describe("an answer", () => {
  it("is the same document for worker, gateway and client, cut at the first stop string", () => {
    let cuts = 0;
    for (let seed = 0; seed < 4_000; seed++) {
      const below = randomness(seed);
      const { steps, text } = randomAnswer(below);
      const stops = Array.from({ length: below(3) }, () => word(below, 5));
      const expected = cut(text, stops);
      if (expected !== text) cuts++;
      const seen = `seed ${seed}, ${JSON.stringify({ text, stops })}`;
      expect(deliver(steps, stops), seen).toEqual({
        ordered: expected,
        whole: expected,
        lanes: expected,
        parts: expected,
      });
    }
    expect(cuts).toBeGreaterThan(1_000);
  });
});
