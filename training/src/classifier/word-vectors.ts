// Vectors of the classifier's words, made by `anabranch_training.word_vectors`.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Features } from "@anabranch/shared/classifier/features.ts";
import { type PackedWeights, unpack } from "@anabranch/shared/classifier/model.ts";
import { wordCount } from "@anabranch/shared/classifier/words.ts";

const path = join(import.meta.dirname, "../../data/word-vectors.json");

/** The values stand word by word. */
const file = JSON.parse(readFileSync(path, "utf8")) as PackedWeights & { dims: number };

/** Values of a word's vector. */
export const { dims } = file;

const values = unpack(file, wordCount * dims);

/** The sum of a prompt's words' vectors, scaled. */
export function vectorOf({ words, wordValue }: Features): Float64Array {
  const sum = new Float64Array(dims);
  for (const word of words) {
    for (let i = 0; i < dims; i++) sum[i] = (sum[i] ?? 0) + (values[word * dims + i] ?? 0);
  }
  return sum.map((value) => value * wordValue);
}

/** What each word weighs where `vector` weighs the values of its vector. */
export const wordWeights = (vector: Float64Array): Float64Array =>
  Float64Array.from({ length: wordCount }, (_, word) =>
    vector.reduce((sum, weight, i) => sum + weight * (values[word * dims + i] ?? 0), 0),
  );
