// What the classifier says of a prompt.
import { cueNames, type Features, featuresOf } from "./features.ts";
import { linear, type Model, sigmoid } from "./model.ts";

export interface Reason {
  /** A cue's name. */
  cue: string;
  /** What it adds to the log-odds. */
  weight: number;
}

export interface Judgement {
  /** That a good answer is a list of independent points. */
  probability: number;
  /** The expected speed-up in decode steps, at least 1. */
  speedup: number;
  mode: "serial" | "parallel";
  /** The prompt is in a language that the classifier hardly knows: the mode is parallel, and the model decides. */
  abstains: boolean;
  /** The cues that count most, strongest first. */
  reasons: Reason[];
}

const mostReasons = 5;
const unknownScript = 0.5;
const knownWords = 0.75;

const cueAt = (name: string) => cueNames.indexOf(name);
const [scriptCue, englishCue] = [cueAt("another script"), cueAt("few English words")];
const codeCues = [cueAt("code"), cueAt("code fence")];

/**
 * Whether the prompt is in a language of which hardly an example was learned. Notes, formulas and code may be English
 * without its small words.
 */
function isForeign({ cues, words, wordsRead }: Features): boolean {
  if ((cues[scriptCue] ?? 0) > unknownScript) return true;
  if ((cues[englishCue] ?? 0) === 0 || codeCues.some((cue) => (cues[cue] ?? 0) > 0)) return false;
  return words.length < knownWords * wordsRead;
}

function reasonsOf(model: Model, { cues }: Features): Reason[] {
  return cueNames
    .map((cue, i) => ({ cue, weight: (cues[i] ?? 0) * (model.parallel.cues[i] ?? 0) }))
    .filter(({ weight }) => Math.abs(weight) >= 0.01)
    .sort((a, b) => Math.abs(b.weight) - Math.abs(a.weight))
    .slice(0, mostReasons)
    .map(({ cue, weight }) => ({ cue, weight: Math.round(weight * 1e3) / 1e3 }));
}

export const speedupOf = ({ speedup }: Model, odds: number): number =>
  Math.exp(Math.max(0, speedup.slope * odds + speedup.bias));

const modeOf = (probability: number, abstains: boolean, threshold: number) =>
  abstains || probability >= threshold ? "parallel" : "serial";

/** The same judgement for a model with a threshold of its own. */
export const withThreshold = (judgement: Judgement, threshold: number): Judgement => ({
  ...judgement,
  mode: modeOf(judgement.probability, judgement.abstains, threshold),
});

/** Reads at most 4,000 characters of `prompt`. `turn` is 1 for the first message of a chat. */
export function judge(model: Model, prompt: string, turn = 1): Judgement {
  const features = featuresOf(prompt, turn);
  const odds = linear(model.parallel, features);
  const probability = sigmoid(odds);
  const abstains = isForeign(features);
  return {
    probability,
    speedup: speedupOf(model, odds),
    mode: modeOf(probability, abstains, model.threshold),
    abstains,
    reasons: reasonsOf(model, features),
  };
}
