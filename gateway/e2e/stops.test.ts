// Stop strings, worker and gateway together: the worker holds text back, the gateway puts lanes into
// order, and what comes out is the document cut where OpenAI means it, however lanes interleave.

import { LaneAnswer } from "@anabranch/shared/client.ts";
import { textOfParts } from "@anabranch/shared/parts.ts";
import {
  CloseReason,
  type Event,
  EventSchema,
  FinishReason,
  type GenerateResponse,
  GenerateResponseSchema,
} from "@anabranch/shared/proto/anabranch/v1/generate_pb.js";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { Answer } from "../../gpu-worker/src/answer/answer.ts";
import type { TextModel } from "../../gpu-worker/src/model/text_model.ts";
import { AnswerDocument } from "../src/aggregation/document.ts";
import type { Fragment } from "../src/aggregation/fragment.ts";
import { LanesPresenter } from "../src/aggregation/lanes-presenter.ts";
import { OrderedPresenter } from "../src/aggregation/ordered-presenter.ts";

type EventInit = NonNullable<MessageInitShape<typeof EventSchema>["event"]>;
const event = (init: EventInit): Event => create(EventSchema, { event: init });

/** A model whose tokens are letters. */
const letters = {
  decode: (ids: readonly number[]) => String.fromCharCode(...ids),
} as unknown as TextModel;

/** Deterministic, so that a failure can be seen again: mulberry32. */
function randomness(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) % below;
  };
}

type Below = (below: number) => number;

/** Few letters, so that a stop string is found often and nearly found more often. */
const word = (below: Below, longest: number) =>
  Array.from({ length: 1 + below(longest) }, () => "abc"[below(3)]).join("");

/** An engine's messages, a step each, and the text they make in document order. */
function randomAnswer(below: Below): { steps: GenerateResponse[]; text: string } {
  const steps: Event[][] = [];
  let text = "";
  let lane = 0;
  const delta = (at: number, said: string) => {
    const tokenIds = [...said].map((letter) => letter.charCodeAt(0));
    const visible = tokenIds.map(() => true);
    return event({ case: "delta", value: { lane: at, tokenIds, visible } });
  };
  // Serial text is no shorter than a stop string may reach over it: one that spans two stages and all
  // between them is not told apart (gpu-worker/src/answer/answer.ts, stageOpened).
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
    steps.push([event({ case: "stageOpened", value: { stage, lanes } })]);
    let open = branches;
    while (open.length > 0) {
      const step: Event[] = [];
      for (const branch of open) {
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
  return { steps: steps.map((events) => create(GenerateResponseSchema, { events })), text };
}

const closes = (it: Event["event"], lane: number) =>
  it.case === "branchClosed" && it.value.lane === lane;

/** Where the first stop string is complete; of two that end together the longer counts. */
function cut(text: string, stops: readonly string[]): string {
  for (let end = 1; end <= text.length; end++) {
    const found = stops.filter((stop) => text.slice(0, end).endsWith(stop));
    if (found.length > 0) return text.slice(0, end - Math.max(...found.map((stop) => stop.length)));
  }
  return text;
}

/** What a client is told, by the worker's and the gateway's own code. */
function deliver(steps: readonly GenerateResponse[], stops: string[]) {
  const worker = new Answer(letters, stops);
  const document = new AnswerDocument();
  const presenter = new OrderedPresenter(document);
  const lanes = new LanesPresenter();
  const client = new LaneAnswer();
  let ordered = "";
  const tell = (text: string, mark: Fragment["mark"]) => {
    const chunk = { choices: [{ delta: { content: text } }], anabranch: mark };
    client.push(chunk);
  };
  for (const step of steps) {
    // As the worker's service does: behind a stop only the end is sent.
    const stopped = worker.stopped;
    const told = worker.events(step);
    for (const each of stopped ? told.filter(({ event: it }) => it.case === "finished") : told) {
      const change = document.apply(each);
      if (!change) continue;
      for (const { text } of presenter.push(change)) ordered += text;
      for (const { text, mark } of lanes.push(change)) tell(text, mark);
      if (change.kind === "finished") tell("", lanes.lastMark(change.stoppedIn));
    }
  }
  return { ordered, whole: document.text, lanes: client.text, ...partsOf(document, client) };
}

/** Their parts add up to their text, and are the same whoever put them together. */
function partsOf(document: AnswerDocument, client: LaneAnswer) {
  expect(client.message.anabranch.parts).toEqual(document.parts);
  return { parts: textOfParts(document.parts) };
}

describe("stop strings", () => {
  it("cut the document wherever they stand, however lanes interleave", () => {
    let cuts = 0;
    for (let seed = 0; seed < 4_000; seed++) {
      const below = randomness(seed);
      const { steps, text } = randomAnswer(below);
      const stops = Array.from({ length: below(3) }, () => word(below, 5));
      const expected = cut(text, stops);
      if (expected !== text) cuts++;
      const said = `seed ${seed}, ${JSON.stringify({ text, stops })}`;
      expect(deliver(steps, stops), said).toEqual({
        ordered: expected,
        whole: expected,
        lanes: expected,
        parts: expected,
      });
    }
    expect(cuts).toBeGreaterThan(1_000);
  });
});
