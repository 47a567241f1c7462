import { join } from "node:path";
import { CloseReason } from "@anabranch/shared/proto/anabranch/v1/answer_pb.js";
import {
  type EngineEvent,
  EngineEventSchema,
} from "@anabranch/shared/proto/anabranch/v1/engine_pb.js";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { beforeAll, describe, expect, it } from "vitest";
import { locatePath } from "../model/locate.ts";
import { TextModel } from "../model/text-model.ts";
import { Answer } from "./answer.ts";

let model: TextModel;
beforeAll(async () => {
  model = await TextModel.open(locatePath(join(import.meta.dirname, "../../../models/small")));
});

/** The text of an answer with one stage: each branch is its title, if `shown`, and what it goes on with; then `behind`. */
function textOf(
  branches: readonly [title: string, rest: string][],
  reason: CloseReason,
  { shown = true, behind = "" } = {},
) {
  const answer = new Answer(model, [], { seed: 0n, promptTokenIds: [1] });
  const event = (init: MessageInitShape<typeof EngineEventSchema>["event"]): EngineEvent =>
    create(EngineEventSchema, { ...(init && { event: init }) });
  const lanes = branches.map((_, index) => index + 1);
  const titles = branches.map(([title]) => ({ ids: model.tokens(title) }));
  answer.events([event({ case: "stageOpened", value: { stage: 1, lanes, titles } })]);
  for (const [index, [title, rest]] of branches.entries()) {
    const tokenIds = model.tokens(`${shown ? title : ""}${rest}`);
    const visible = tokenIds.map((tokenId) => ({ tokenId }));
    const lane = index + 1;
    answer.events([
      event({ case: "tokens", value: { lane, tokenIds, visible } }),
      event({ case: "branchClosed", value: { lane, reason } }),
    ]);
  }
  const tokenIds = model.tokens(behind);
  const visible = tokenIds.map((tokenId) => ({ tokenId }));
  answer.events([
    event({ case: "stageClosed", value: { stage: 1 } }),
    event({ case: "tokens", value: { lane: 0, tokenIds, visible } }),
    event({ case: "finished", value: {} }),
  ]);
  return answer.document.runs.map(({ text }) => text).join("");
}

describe("a branch that does not end its line", () => {
  const items: [string, string][] = [
    ["1. Eat:", " less of"],
    ["2. Run:", " more.\n"],
    ["3. Sleep:", " well."],
  ];

  it("ends it before an item that is shown with its mark, and after the last one does not", () => {
    expect(textOf(items, CloseReason.MARKER)).toBe(
      "1. Eat: less of\n2. Run: more.\n3. Sleep: well.",
    );
  });

  it("goes on before one that may stand within a line", () => {
    const sentences: [string, string][] = [
      ["Rome is", " old. "],
      ["Oslo is", " not."],
    ];
    expect(textOf(sentences, CloseReason.MARKER)).toBe("Rome is old. Oslo is not.");
    // A hidden title is no text.
    expect(textOf(items, CloseReason.MARKER, { shown: false })).toBe(" less of more.\n well.");
  });

  it("is not gone on with by the text behind the list", () => {
    const said = (behind: string) => textOf(items.slice(2), CloseReason.MARKER, { behind });
    expect(said("So eat.")).toBe("3. Sleep: well.\n\nSo eat.");
    expect(said("\n\nSo eat.")).toBe("3. Sleep: well.\n\nSo eat.");
    const sentence: [string, string][] = [["Rome is", " old."]];
    const behind = { behind: " So go." };
    expect(textOf(sentence, CloseReason.MARKER, behind)).toBe("Rome is old. So go.");
  });

  it("ends it in any case where it was cut off", () => {
    expect(textOf(items, CloseReason.CAP, { shown: false })).toBe(" less of\n more.\n well.\n");
  });
});
