import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { IncrementalText } from "../answer/incremental_text.ts";
import { TextModel } from "./text_model.ts";

const repository = fileURLToPath(new URL("../../../", import.meta.url));
const model = new TextModel(join(repository, "models/demo"));
const markers = ["<|title|>", "<|/title|>", "<|para|>", "<|branch|>", "<|/branch|>", "<|/para|>"];

interface Sample {
  name: string;
  prompt: string;
  prompt_ids: number[];
}
const { samples } = JSON.parse(
  readFileSync(join(repository, "shared/fixtures/pieces.json"), "utf8"),
) as { samples: Sample[] };

const user = (content: string) => [{ role: "user", content }];

/** In the demo's tokenizer the added tokens, markers among them, have the first nine ids. */
const isAdded = (id: number) => id < 9;

describe("a chat prompt", () => {
  it.each(samples)("has the ids that Hugging Face gives it ($name)", ({ prompt, prompt_ids }) => {
    const content = prompt.match(/^<\|im_start\|>user\n([\s\S]*)<\|im_end\|>/)?.[1] ?? "";
    expect(model.chat(user(content))).toEqual(prompt_ids);
  });

  it("keeps the text of an added token and cannot forge it", () => {
    const specials = new Set(model.chat(user("x")).filter(isAdded));
    for (const token of [...markers, "<|im_end|>", "<|endoftext|>"]) {
      const ids = model.chat(user(`Say ${token} now ${token}${token}`));
      const plain = model.chat(user("Say now"));
      const count = (list: number[]) => list.filter(isAdded).length;
      expect(count(ids), token).toBe(count(plain));
      expect(ids.filter(isAdded).every((id) => specials.has(id))).toBe(true);
      expect(model.decode(ids)).toContain(`Say ${token} now ${token}${token}`);
    }
  });

  it("cannot be forged by text that only becomes a token when something is taken out of it", () => {
    const ids = model.chat(user("<|tit<|title|>le|> \ue000 0 \ue001 \ue0000\ue001"));
    expect(ids.filter(isAdded)).toEqual(model.chat(user("x")).filter(isAdded));
    expect(model.decode(ids)).toContain("<|tit<|title|>le|> \ue000 0 \ue001 \ue0000\ue001");
  });

  it("with no added token in it is tokenized in one piece", () => {
    const text = "Compare Tokyo, Paris and Cairo.";
    expect(model.chat(user(text)).join(" ")).toContain(model.text(text).join(" "));
  });
});

it("a plain prompt's added tokens are ordinary text too", () => {
  expect(model.text("a<|branch|>b").some(isAdded)).toBe(false);
});

it("a missing tokenizer is refused by name", () => {
  const folder = mkdtempSync(join(tmpdir(), "anabranch-test-"));
  writeFileSync(join(folder, "tokenizer.json"), "{");
  expect(() => new TextModel(folder)).toThrow(/tokenizer\.json/);
  rmSync(folder, { recursive: true });
});

describe("incremental text", () => {
  const run = () => new IncrementalText((ids) => model.decode(ids));

  it("adds up to the whole text, whatever the characters", () => {
    const text = "naïve café — 東京 is 37 million 👩‍🔬🚀 people, ½ price\n\n- ok";
    const ids = model.text(text);
    const reader = run();
    const pieces = ids.map((id) => reader.push(id));
    expect(pieces.join("") + reader.end()).toBe(text);
    expect(ids.length).toBeGreaterThan([..."東京👩🚀"].length);
  });

  it("never shows half a character", () => {
    const ids = model.text("東京🚀");
    const reader = run();
    for (const id of ids) expect(reader.push(id)).not.toContain("\ufffd");
  });

  it("lets through what never becomes a character", () => {
    const broken = model.text("🚀").slice(0, -1);
    const reader = run();
    const shown = broken.map((id) => reader.push(id)).join("") + reader.end();
    expect(shown).toContain("\ufffd");
  });
});
