// A dialect in a checkpoint's own ids: its file in shared/dialects says markers as text.
import { readdirSync, readFileSync } from "node:fs";
import { basename } from "node:path";
import type { TextModel } from "./text-model.ts";

const folder = new URL("../../../shared/dialects/", import.meta.url);

/** The dialects that can be put beside a checkpoint. */
export const dialectNames = (): string[] =>
  readdirSync(folder).map((file) => basename(file, ".json"));

type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

/**
 * A value with the ids of every {text} in it, in which added tokens are themselves.
 * @throws Error if decoding the ids of a text would not give the text back
 */
export function spell(value: Json, model: TextModel): Json {
  if (Array.isArray(value)) return value.map((each) => spell(each, model));
  if (typeof value !== "object" || value === null) return value;
  if (typeof value.text !== "string") {
    return Object.fromEntries(
      Object.entries(value).map(([key, each]) => [key, spell(each, model)]),
    );
  }
  const { text, ...rest } = value;
  const ids = model.tokens(text);
  if (model.decode(ids) === text) return { ids, text, ...rest };
  throw new Error(`the tokenizer can't write ${JSON.stringify(text)}: a byte-level one is needed`);
}

/** The file of a dialect in the model's ids, those of the numbers of titles among them. */
export function spellDialect(name: string, model: TextModel): Json {
  const text = readFileSync(new URL(`${name}.json`, folder), "utf8");
  const file = JSON.parse(text) as { [key: string]: Json; caps: { branches: number } };
  const numbers = Array.from({ length: file.caps.branches }, (_, i) => ({ text: `${i + 1}` }));
  return spell({ ...file, ...(text.includes('"index"') ? { index: numbers } : {}) }, model);
}
