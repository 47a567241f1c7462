// What the classifier looks at in a prompt: structural cues, and hashed words and word pairs. The
// gateway and the fitting command share it, so that what was fitted is what decides.
import { hash } from "./hash.ts";

/** Cues, by name, each about 0 to 1. */
export type Cues = Record<(typeof cueNames)[number], number>;

export const cueNames = [
  "length",
  "lines",
  "questions",
  "enumeration",
  "asks for a number of things",
  "list items",
  "code",
  "digits",
  "arithmetic",
  "plural request",
  "compares",
  "steps",
  "narrative",
  "one fact",
  "passage",
] as const;

/** Buckets for words and pairs. */
export const buckets = 4_096;

export interface Features {
  /** In the order of `cueNames`. */
  cues: Float64Array;
  /** Bucket → value; the vector's length is 1. */
  ngrams: Map<number, number>;
}

/** Of a long prompt the beginning and the end say what is asked. */
const headCharacters = 3_000;
const tailCharacters = 1_000;

function excerpt(prompt: string): string {
  if (prompt.length <= headCharacters + tailCharacters) return prompt;
  return `${prompt.slice(0, headCharacters)}\n${prompt.slice(-tailCharacters)}`;
}

const count = (text: string, pattern: RegExp) => text.match(pattern)?.length ?? 0;
const some = (text: string, pattern: RegExp) => (pattern.test(text) ? 1 : 0);
const share = (value: number, whole: number) => Math.min(1, value / whole);

const numberWord = "(?:two|three|four|five|six|seven|eight|nine|ten|\\d{1,2}|several|some|many)";
const things =
  "(?:\\w+ ){0,3}?(?:ways|tips|ideas|reasons|examples|steps|methods|points|questions|topics|" +
  "strategies|suggestions|options|sections|aspects|advantages|benefits|facts|types|tools|books)";

function cuesOf(text: string): Float64Array {
  const lower = text.toLowerCase();
  const cues: Cues = {
    length: share(Math.log1p(text.length), 9),
    lines: share(count(text, /\n/g), 20),
    questions: share(count(text, /\?/g), 5),
    enumeration: share(count(text, /[^\s,]+, (?:[^\s,.?]+ ?){1,4},? (?:and|or|&) /gi), 2),
    "asks for a number of things": some(lower, new RegExp(`\\b${numberWord} ${things}\\b`)),
    "list items": share(count(text, /^\s*(?:[-*•]|\d+[.)])\s/gm), 8),
    code: some(text, /```|[{};]\s*$|\b(?:def|function|class|import|SELECT)\b/m),
    digits: share(count(text, /\d/g), 0.2 * text.length + 1),
    arithmetic: share(count(text, /\d\s*[-+*/×÷=]\s*\d/g), 4),
    "plural request": some(
      lower,
      /\b(?:list|tips|ways|ideas|steps|examples|reasons|pros|factors|strategies|outline|plan)\b/,
    ),
    compares: some(lower, /\b(?:compare|comparison|versus|vs|differences? between|contrast)\b/),
    steps: some(lower, /\b(?:step by step|how (?:do|can|to|would|should)|explain|describe)\b/),
    narrative: some(lower, /\b(?:story|poem|essay|letter|email|song|dialogue|paragraph|speech)\b/),
    "one fact": some(lower, /^(?:what|which|who|when|where|how (?:many|much|old|far))\b[^\n]*\?$/),
    passage: some(text, /\n\s*\n/),
  };
  return Float64Array.from(cueNames, (name) => cues[name]);
}

function ngramsOf(text: string): Map<number, number> {
  // Numbers are alike: which ones they are says nothing of the answer's shape.
  const words = text
    .toLowerCase()
    .replace(/\d+/g, "0")
    .match(/[\p{L}\p{N}]+|[^\s\p{L}\p{N}]/gu);
  const seen = new Set<number>();
  let before = "^";
  for (const word of [...(words ?? []), "$"]) {
    if (word !== "$") seen.add(hash(word) % buckets);
    seen.add(hash(`${before} ${word}`) % buckets);
    before = word;
  }
  const value = 1 / Math.sqrt(Math.max(1, seen.size));
  return new Map([...seen].map((bucket) => [bucket, value]));
}

export function featuresOf(prompt: string): Features {
  const text = excerpt(prompt.trim());
  return { cues: cuesOf(text), ngrams: ngramsOf(text) };
}

/** A linear model over those features: the log-odds that an answer has independent parts. */
export interface LinearModel {
  bias: number;
  /** In the order of `cueNames`. */
  cues: readonly number[];
  /** One weight a bucket. */
  ngrams: ArrayLike<number>;
}

export function logOdds(model: LinearModel, { cues, ngrams }: Features): number {
  let sum = model.bias;
  for (const [index, value] of cues.entries()) sum += value * (model.cues[index] ?? 0);
  for (const [bucket, value] of ngrams) sum += value * (model.ngrams[bucket] ?? 0);
  return sum;
}

/** The committed form of a fitted model. */
export interface ClassifierWeights {
  /** Names these weights; part of what a cached answer is kept under. */
  version: string;
  bias: number;
  cues: Record<string, number>;
  /** Weights are `scale` × signed bytes, in base64, one a bucket. */
  ngrams: { scale: number; bytes: string };
}

export function readWeights(weights: ClassifierWeights): LinearModel {
  const bytes = Int8Array.from(atob(weights.ngrams.bytes), (letter) => letter.charCodeAt(0));
  if (bytes.length !== buckets) throw new Error(`the classifier needs ${buckets} weights`);
  return {
    bias: weights.bias,
    cues: cueNames.map((name) => {
      const weight = weights.cues[name];
      if (weight === undefined) throw new Error(`the classifier has no weight for ${name}`);
      return weight;
    }),
    ngrams: Float64Array.from(bytes, (byte) => byte * weights.ngrams.scale),
  };
}
