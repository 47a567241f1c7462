// Against Hugging Face's tokenizers (gpu-worker/test/tokenizers/make_fixture.py).
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import type { Json } from "./model-files.ts";
import { openTokenizer } from "./tokenizer.ts";

const fixture = JSON.parse(
  readFileSync(new URL("../../test/tokenizers/fixture.json", import.meta.url), "utf8"),
) as Record<string, { tokenizer: Json; cases: { text: string; ids: number[] }[] }>;

describe.each(Object.entries(fixture))("%s", (_, { tokenizer, cases }) => {
  const subject = openTokenizer(tokenizer, {});

  it.each(cases)("gives $text the ids that it has elsewhere", ({ text, ids }) => {
    expect([...subject.encode(text, { add_special_tokens: false }).ids]).toEqual(ids);
  });
});

it("a Unigram word may be as long as it likes", () => {
  const { tokenizer, cases } = fixture["Unigram with bytes"] ?? { tokenizer: {}, cases: [] };
  const subject = openTokenizer(tokenizer, {});
  const encode = (text: string) => [...subject.encode(text, { add_special_tokens: false }).ids];
  const long = "ab\u6d77".repeat(200_000);
  const ids = encode(long);
  // Nothing goes over the character that no piece has.
  const [start = -1, ...rest] = encode("ab\u6d77ab\u6d77");
  const half = (rest.length - 1) / 2;
  expect(cases.length).toBeGreaterThan(0);
  expect(ids[0]).toBe(start);
  expect(ids.slice(-half)).toEqual(rest.slice(-half));
  expect(ids.length).toBeGreaterThan(600_000);
});
