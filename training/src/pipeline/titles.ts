// Titles for a plan: short enough to be cheap, since a plan is decoded serially, and long enough to
// tell the parts of a stage apart and to say what each is about.
import { fullNamesOf, type Named, namesOf, tidy } from "./names.ts";

/** A phrase that has so many words of meaning ends where it only goes on. */
const phraseWords = 2;
const mostWords = 3;

const wordSet = (list: string) => new Set(list.trim().split(/\s+/));

/** Without meaning of their own; they come along between others. */
const empty = wordSet(`
  a an the this that these those some any all each every another other many most more much few
  several such your my our their its his her you we they i it and or but of to in on at for with
  by from as into is are was were be been being has have had do does did will would can could may
  might must should there here not no so also very only just when if while about over than then
  up down out off away sure since because`);
/** Of these, what an end may not lose ("Follow up"). */
const particles = wordSet("up down out off away");
const articles = wordSet("a an the your my our their its");
const joins = wordSet("and or / & vs versus");
/** What follows one of these adds to what stands before. */
const continues = wordSet(`
  of in on at for with by from as into about over than is are was were has have had will would can
  could may might must should that which who when where if while because such using through
  without within across around near during before after between among under against toward towards like including not`);
/** Verbs that say less than their object does: "Create a dedicated workspace". */
const lightVerbs = wordSet(`
  add build check choose consider create develop do ensure establish find focus get give have
  identify implement include incorporate keep learn maintain make offer practice provide seek set
  start take try use using utilize`);

/** Nouns that say less than what stands before them: "Cultural factors", "Curriculum development". */
const lightNouns = wordSet(`
  activities actions approach approaches areas aspects benefits challenges concerns conditions
  considerations development developments effects efforts elements factors features functions
  impact impacts implementation implications improvements initiatives integration issues measures
  mechanisms methods options practices problems process processes programs purposes reasons skills
  sources strategies systems techniques tools`);

/** No names by themselves: "Key activities". */
const vague = wordSet(`
  additional alternative basic best class common core current different final further future
  general good important key main major new other possible potential primary recommended special
  various`);

/**
 * One title a part, in the words of its own name. Titles that come out equal grow until they differ,
 * at most to the whole names.
 */
export function titlesOf(items: readonly Named[]): string[] {
  const names = namesOf(items);
  const full = fullNamesOf(items);
  const own = withoutShared(full);
  const forms = names.map((name, i) =>
    [brief(own[i] ?? ""), brief(full[i] ?? ""), name].filter((form) => form !== ""),
  );
  const sizes = names.map(() => 0);
  for (;;) {
    const titles = forms.map((form, i) => form[sizes[i] ?? 0] ?? "");
    const growing = repeated(titles).filter((i) => (sizes[i] ?? 0) + 1 < (forms[i]?.length ?? 0));
    if (growing.length === 0) return titles;
    for (const i of growing) sizes[i] = (sizes[i] ?? 0) + 1;
  }
}

/** The longest start of a title, in whole words, that `fits`; "" where not even one word does. */
export function shortened(title: string, fits: (title: string) => boolean): string {
  let words = title.split(" ");
  while (words.length > 0) {
    const start = tidy(words.join(" "));
    if (fits(start)) return start;
    words = words.slice(0, -1);
  }
  return "";
}

/** Without the words that all names start or end with, where something is left of each. */
function withoutShared(names: readonly string[]): readonly string[] {
  const words = names.map((name) => name.split(" "));
  const first = sharedStart(words);
  const rest = words.map((each) => each.slice(first));
  const last = sharedStart(rest.map((each) => each.toReversed()));
  const own = rest.map((each) => tidy(each.slice(0, each.length - last).join(" ")));
  return own.every((name) => /\p{L}{3}/u.test(name)) ? own : names;
}

/** How many words all lists start with, leaving a word of meaning to each. */
function sharedStart(lists: readonly string[][]): number {
  const [pattern = []] = lists;
  const different = pattern.findIndex(
    (word, n) =>
      !lists.every(
        (words) =>
          words[n]?.toLowerCase() === word.toLowerCase() && words.slice(n + 1).some(isMeant),
      ),
  );
  return Math.max(0, different);
}

/** The first phrase of a name, at most three words of meaning; calculations and the like whole. */
function brief(name: string): string {
  const words = name.replace(/\s*\(.*/, "").split(" ");
  if (!words.some(isMeant) || words.some((word) => /^[-+*×÷=<>^%|]/.test(word))) return name;
  return tidy(upTo(mostWords, withoutLight(phraseOf(bare(words)))).join(" "));
}

/** Without a light verb that two words follow, or a light noun right behind one of meaning. */
function withoutLight(phrase: readonly string[]): readonly string[] {
  const meant = phrase.filter(isMeant).length;
  if (meant > phraseWords && lightVerbs.has(phrase[0]?.toLowerCase() ?? "")) {
    return phrase.slice(phrase.findIndex((word, i) => i > 0 && isMeant(word)));
  }
  const isLight = lightNouns.has(phrase.at(-1)?.toLowerCase() ?? "");
  const [first = ""] = phrase;
  const lower = first.toLowerCase();
  const names = phrase.every(isMeant) && !lightVerbs.has(lower) && !vague.has(lower);
  return isLight && names && meant > 1 ? phrase.slice(0, -1) : phrase;
}

function phraseOf(words: readonly string[]): readonly string[] {
  const capital = words.filter(isMeant).every((word) => /^\p{Lu}/u.test(word));
  let meant = 0;
  for (const [i, word] of words.entries()) {
    const lower = word.toLowerCase();
    // "Pride and Prejudice" is one name, "Access and affordability" two.
    const joined = joins.has(lower) && meant >= (capital ? phraseWords : 1);
    const goesOn = (continues.has(lower) || lower.endsWith("ly")) && meant >= phraseWords;
    if (joined || goesOn) return bare(words.slice(0, i));
    if (isMeant(word)) meant++;
    if (/[,;:]$/.test(word) && meant >= phraseWords) return bare(words.slice(0, i + 1));
  }
  return words;
}

/** Up to the n-th word of meaning. */
function upTo(n: number, words: readonly string[]): readonly string[] {
  let left = n;
  const end = words.findIndex((word) => isMeant(word) && --left === 0);
  return end === -1 ? words : words.slice(0, end + 1);
}

/** Without articles before and words of no meaning behind. */
function bare(words: readonly string[]): readonly string[] {
  const start = words.findIndex((word) => !articles.has(word.toLowerCase()));
  const end = words.findLastIndex((word) => isMeant(word) || particles.has(word.toLowerCase()));
  return words.slice(Math.max(0, start), end + 1);
}

const isMeant = (word: string): boolean =>
  /[\p{L}\d]/u.test(word) && !empty.has(word.toLowerCase().replace(/[,;:]$/, ""));

/** Indices of titles that stand there more than once. */
function repeated(titles: readonly string[]): number[] {
  const lower = titles.map((title) => title.toLowerCase());
  const seen = new Map<string, number>();
  for (const title of lower) seen.set(title, (seen.get(title) ?? 0) + 1);
  return lower.flatMap((title, i) => ((seen.get(title) ?? 0) > 1 ? [i] : []));
}
