// The language of a text, as Shuyo's language-detection finds it (Nakatani Shuyo, Language Detection Library
// for Java, 2010): naive Bayes over n-grams of one to three characters. IFEval asks Python's langdetect, a
// port of it. What that says of a text in capitals depends on its profiles, so the same ones are read here,
// from an npm package. Of that package only the profiles are used: its own detector draws unseeded numbers
// and needs 144 MB of Unicode tables, which package.json replaces.
import { readdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { Random } from "@anabranch/training/random.ts";

interface Profile {
  freq: Record<string, number>;
  n_words: [number, number, number];
}

interface Profiles {
  languages: string[];
  /** Of each n-gram its probability in each language. */
  probabilities: Map<string, Float64Array>;
}

/** Five times as many as in langdetect, which draws anew at each call: what it says most often counts. */
const trials = 35;
const iterations = 1000;
const converged = 0.99999;
const maxCharacters = 10_000;

function readProfiles(): Profiles {
  const manifest = createRequire(import.meta.url).resolve("langdetect/package.json");
  const folder = join(dirname(manifest), "profiles");
  const files = readdirSync(folder).sort();
  const probabilities: Profiles["probabilities"] = new Map();
  for (const [language, file] of files.entries()) {
    const { freq, n_words } = JSON.parse(readFileSync(join(folder, file), "utf8")) as Profile;
    for (const [gram, frequency] of Object.entries(freq)) {
      const total = n_words[gram.length - 1];
      if (total === undefined) continue;
      const row = probabilities.get(gram) ?? new Float64Array(files.length);
      probabilities.set(gram, row);
      row[language] = frequency / total;
    }
  }
  return { languages: files.map((file) => file.replace(".json", "")), probabilities };
}

let profiles: Profiles | undefined;

/** Ranges of characters that count as one, or as a space. */
const classes: readonly (readonly [RegExp, string])[] = [
  [/[\0-@[-`{-\x7f\xa0\xab\xb0\xbb\u2000-\u206f]/, " "],
  [/[\u1ea0-\u1eff]/, "\u1ec3"],
  [/[\u3040-\u309f]/, "\u3042"],
  [/[\u30a0-\u30ff]/, "\u30a2"],
  [/[\u3100-\u312f\u31a0-\u31bf]/, "\u3105"],
  [/[\uac00-\ud7af]/, "\uac00"],
];
const single: Readonly<Record<string, string>> = { ș: "ş", ț: "ţ", "\u06cc": "\u064a" };

const normalized = (character: string): string =>
  classes.find(([range]) => range.test(character))?.[1] ?? single[character] ?? character;

/** Without addresses; without Latin letters if most of the text is in another script. */
function cleaned(text: string): string {
  const plain = text
    .replace(/https?:\/\/[-_.?&~;+=/#0-9A-Za-z]{1,2076}/g, " ")
    .replace(/[-_.0-9A-Za-z]{1,64}@[-_0-9A-Za-z]{1,255}[-_.0-9A-Za-z]{1,255}/g, " ")
    .normalize("NFC");
  const all = [...plain].slice(0, maxCharacters);
  const latin = all.filter((c) => c >= "A" && c <= "z").length;
  const other = all.filter((c) => c >= "\u0300" && !/[\u1e00-\u1eff]/.test(c)).length;
  return (latin * 2 < other ? all.filter((c) => c < "A" || c > "z") : all).join("");
}

/** The known n-grams of a text. A word in capitals counts by its first letter alone. */
function gramsOf(text: string, known: Profiles["probabilities"]): string[] {
  const grams: string[] = [];
  let window = " ";
  let capitals = false;
  for (const each of text) {
    const character = normalized(each);
    const last = window.at(-1) ?? " ";
    if (last === " ") {
      window = " ";
      capitals = false;
      if (character === " ") continue;
    } else if (window.length >= 3) window = window.slice(1);
    window += character;
    if (!/\p{Uppercase}/u.test(character)) capitals = false;
    else if (/\p{Uppercase}/u.test(last)) capitals = true;
    if (capitals) continue;
    for (let n = 1; n <= Math.min(3, window.length); n++) {
      const gram = window.slice(-n);
      if (gram !== " " && known.has(gram)) grams.push(gram);
    }
  }
  return grams;
}

/** Standard normal, by Box and Muller. */
const gauss = (random: Random): number =>
  Math.sqrt(-2 * Math.log(1 - random.float())) * Math.cos(2 * Math.PI * random.float());

/** Probabilities of the languages after n-grams drawn at random until one is certain. */
function trial(grams: readonly string[], { languages, probabilities }: Profiles, random: Random) {
  const weight = (0.5 + 0.05 * gauss(random)) / 10_000;
  const out = new Float64Array(languages.length).fill(1 / languages.length);
  for (let i = 0; ; i++) {
    const row = probabilities.get(random.pick(grams));
    for (let k = 0; k < out.length; k++) out[k] = (out[k] ?? 0) * (weight + (row?.[k] ?? 0));
    if (i % 5 !== 0) continue;
    const sum = out.reduce((all, p) => all + p, 0);
    for (let k = 0; k < out.length; k++) out[k] = (out[k] ?? 0) / sum;
    if (Math.max(...out) > converged || i >= iterations) return out;
  }
}

/** The ISO 639-1 code of a text's language; null if nothing in the text tells. The same for the same text. */
export function languageOf(text: string): string | null {
  profiles ??= readProfiles();
  const grams = gramsOf(cleaned(text), profiles.probabilities);
  if (grams.length === 0) return null;
  const random = new Random(0);
  const { languages } = profiles;
  const sums = new Float64Array(languages.length);
  for (let i = 0; i < trials; i++) {
    const found = trial(grams, profiles, random);
    for (let k = 0; k < sums.length; k++) sums[k] = (sums[k] ?? 0) + (found[k] ?? 0);
  }
  return languages[sums.indexOf(Math.max(...sums))] ?? null;
}
