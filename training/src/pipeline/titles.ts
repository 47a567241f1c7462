// Titles for a plan. They are short, because a plan is decoded serially, and long enough to distinguish the
// parts of a stage and to say what each is about.
import { fullNamesOf, type Named, namesOf, tidy } from "./item-names.ts";

/** A phrase with so many content words may end before a word that only continues it. */
const phraseWords = 2;
const maxWords = 3;

const wordSet = (list: string) => new Set(list.trim().split(/\s+/));

/** Function words, without meaning of their own. */
const functionWords = wordSet(`
  a an the this that these those some any all each every another other many most more much few
  several such your my our their its his her you we they i it and or but of to in on at for with
  by from as into is are was were be been being has have had do does did will would can could may
  might must should there here not no so also very only just when if while about over than then
  up down out off away sure since because`);
/** Function words that must not be dropped at the end ("Follow up"). */
const particles = wordSet("up down out off away");
const articles = wordSet("a an the your my our their its");
const joins = wordSet("and or / & vs versus");
/** Words after which a phrase only adds to what it has said. */
const continues = wordSet(`
  of in on at for with by from as into about over than is are was were has have had will would can
  could may might must should that which who when where if while because such using through
  without within across around near during before after between among under against toward towards like including not`);
/** Verbs that say less than their object: "Create a dedicated workspace". */
const lightVerbs = wordSet(`
  add build check choose consider create develop do ensure establish find focus get give have
  identify implement include incorporate keep learn maintain make offer practice provide seek set
  start take try use using utilize`);

/** Nouns that say less than the words before them: "Cultural factors", "Curriculum development". */
const lightNouns = wordSet(`
  activities actions approach approaches areas aspects benefits challenges concerns conditions
  considerations development developments effects efforts elements factors features functions
  impact impacts implementation implications improvements initiatives integration issues measures
  mechanisms methods options practices problems process processes programs purposes reasons skills
  sources strategies systems techniques tools`);

/** Adjectives that are no names by themselves: "Key activities". */
const vague = wordSet(`
  additional alternative basic best class common core current different final further future
  general good important key main major new other possible potential primary recommended special
  various`);

/** One title per part, in words of its name. Equal titles are extended until they differ, up to the full name. */
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

/** The longest start of a title, in whole words, that `fits`; "" if not even one word does. */
export function shortened(title: string, fits: (title: string) => boolean): string {
  let words = title.split(" ");
  while (words.length > 0) {
    const start = tidy(words.join(" "));
    if (fits(start)) return start;
    words = words.slice(0, -1);
  }
  return "";
}

/** Removes the words that all names start or end with, if something remains of each. */
function withoutShared(names: readonly string[]): readonly string[] {
  const words = names.map((name) => name.split(" "));
  const first = sharedStart(words);
  const rest = words.map((each) => each.slice(first));
  const last = sharedStart(rest.map((each) => each.toReversed()));
  const own = rest.map((each) => tidy(each.slice(0, each.length - last).join(" ")));
  return own.every((name) => /\p{L}{3}/u.test(name)) ? own : names;
}

/** How many words all lists start with, such that a content word remains in each. */
function sharedStart(lists: readonly string[][]): number {
  const [pattern = []] = lists;
  const different = pattern.findIndex(
    (word, n) =>
      !lists.every(
        (words) =>
          words[n]?.toLowerCase() === word.toLowerCase() && words.slice(n + 1).some(isContentWord),
      ),
  );
  return Math.max(0, different);
}

/** The first phrase of a name, with at most three content words. Calculations stay complete. */
function brief(name: string): string {
  const words = name.replace(/\s*\(.*/, "").split(" ");
  if (!words.some(isContentWord) || words.some((word) => /^[-+*×÷=<>^%|]/.test(word))) return name;
  return tidy(upTo(maxWords, withoutLight(phraseOf(bare(words)))).join(" "));
}

/** Removes a light verb before at least two content words, or a light noun after a content word. */
function withoutLight(phrase: readonly string[]): readonly string[] {
  const meant = phrase.filter(isContentWord).length;
  if (meant > phraseWords && lightVerbs.has(phrase[0]?.toLowerCase() ?? "")) {
    return phrase.slice(phrase.findIndex((word, i) => i > 0 && isContentWord(word)));
  }
  const isLight = lightNouns.has(phrase.at(-1)?.toLowerCase() ?? "");
  const [first = ""] = phrase;
  const lower = first.toLowerCase();
  const names = phrase.every(isContentWord) && !lightVerbs.has(lower) && !vague.has(lower);
  return isLight && names && meant > 1 ? phrase.slice(0, -1) : phrase;
}

function phraseOf(words: readonly string[]): readonly string[] {
  const capital = words.filter(isContentWord).every((word) => /^\p{Lu}/u.test(word));
  let meant = 0;
  for (const [i, word] of words.entries()) {
    const lower = word.toLowerCase();
    // "Pride and Prejudice" is one name, "Access and affordability" two.
    const joined = joins.has(lower) && meant >= (capital ? phraseWords : 1);
    const continuesPhrase = (continues.has(lower) || lower.endsWith("ly")) && meant >= phraseWords;
    if (joined || continuesPhrase) return bare(words.slice(0, i));
    if (isContentWord(word)) meant++;
    if (/[,;:]$/.test(word) && meant >= phraseWords) return bare(words.slice(0, i + 1));
  }
  return words;
}

/** The words up to the n-th content word. */
function upTo(n: number, words: readonly string[]): readonly string[] {
  let left = n;
  const end = words.findIndex((word) => isContentWord(word) && --left === 0);
  return end === -1 ? words : words.slice(0, end + 1);
}

/** Removes articles at the start and function words at the end. */
function bare(words: readonly string[]): readonly string[] {
  const start = words.findIndex((word) => !articles.has(word.toLowerCase()));
  const end = words.findLastIndex(
    (word) => isContentWord(word) || particles.has(word.toLowerCase()),
  );
  return words.slice(Math.max(0, start), end + 1);
}

const isContentWord = (word: string): boolean =>
  /[\p{L}\d]/u.test(word) && !functionWords.has(word.toLowerCase().replace(/[,;:]$/, ""));

/** Indices of titles that occur more than once. */
function repeated(titles: readonly string[]): number[] {
  const lower = titles.map((title) => title.toLowerCase());
  const seen = new Map<string, number>();
  for (const title of lower) seen.set(title, (seen.get(title) ?? 0) + 1);
  return lower.flatMap((title, i) => ((seen.get(title) ?? 0) > 1 ? [i] : []));
}
