// What the classifier looks at in a prompt. The gateway and the fitting command share it, so that what was
// fitted is what decides.
import { cuesOf } from "./cues.ts";
import { type Reading, readPrompt } from "./reading.ts";
import { shapesOf } from "./shapes.ts";
import { wordsOf } from "./words.ts";

export interface Features {
  /** In the order of `cueNames`, each 0 to 1. */
  cues: Float64Array;
  /** Buckets; each has the value `shapeValue`, so that the vector's length is 1. */
  shapes: readonly number[];
  shapeValue: number;
  /** Indices of words, each with the value `wordValue`: the known ones of the first `wordsRead`. */
  words: readonly number[];
  wordsRead: number;
  wordValue: number;
  reading: Reading;
}

export const cueNames: readonly string[] = Object.keys(cuesOf(readPrompt(""), 1));

/** Reads at most 4,000 characters of `prompt`, so its time is bounded. */
export function featuresOf(prompt: string, turn = 1): Features {
  const reading = readPrompt(prompt);
  const shapes = shapesOf(reading);
  const { known: words, read: wordsRead } = wordsOf(reading);
  return {
    cues: Float64Array.from(Object.values(cuesOf(reading, turn))),
    shapes,
    shapeValue: 1 / Math.sqrt(Math.max(1, shapes.length)),
    words,
    wordsRead,
    wordValue: 1 / Math.sqrt(Math.max(1, words.length)),
    reading,
  };
}
