// The pre-tokenizers that GGUF files name, against Hugging Face's tokenizers
// (gpu-worker/test/pre-tokenizers/make_fixture.py).
import { readFileSync } from "node:fs";
import { Tokenizer } from "@huggingface/tokenizers";
import { describe, expect, it } from "vitest";
import { preTokenizerOf, preTokenizers } from "./pre-tokenizers.ts";

const fixture = JSON.parse(
  readFileSync(new URL("../../test/pre-tokenizers/fixture.json", import.meta.url), "utf8"),
) as { tokens: string[]; merges: string[]; texts: string[]; ids: Record<string, number[][]> };

function tokenizer(name: string): Tokenizer {
  const { normalizer, preTokenizer, ignoreMerges } = preTokenizerOf(name);
  const vocab = Object.fromEntries(fixture.tokens.map((token, id) => [token, id]));
  return new Tokenizer(
    {
      version: "1.0",
      ...{ added_tokens: [], normalizer, pre_tokenizer: preTokenizer, post_processor: null },
      decoder: { type: "ByteLevel" },
      model: { type: "BPE", ignore_merges: ignoreMerges, vocab, merges: fixture.merges },
    },
    {},
  );
}

describe.each(preTokenizers)("%s", (name) => {
  const subject = tokenizer(name);

  it.each(fixture.texts.map((text, i) => [text, i] as const))(
    "splits %j as its family's tokenizer does",
    (text, i) => {
      expect(subject.encode(text).ids).toEqual(fixture.ids[name]?.[i]);
    },
  );
});
