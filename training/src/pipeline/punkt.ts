// Sentences as Punkt finds them (Kiss and Strunk, Unsupervised Multilingual Sentence Boundary Detection,
// 2006), with NLTK's definition of a token: a mark at the end of a token ends a sentence unless the token
// is an abbreviation, an initial or an ordinal whose next word does not look like a beginning. Line breaks
// end nothing. Punkt learns its abbreviations from text. Those below are common ones that NLTK's English
// model treats as such; "etc", "e.g" and "i.e" are not among them.

const words = (list: string) => new Set(list.split(/\s+/));

const abbreviations = words(
  `mr mrs ms dr prof st jr sr inc co corp ltd bros vs jan feb aug sep sept oct nov dec wed thurs fri tues
   gen sen rep reps col lt adm maj messrs ave ft calif wash ill ok a.m p.m u.s u.s.a u.k u.n d.c n.y l.a a.d ph.d
   a.a b.f j.k j.p j.r w.c w.w c d e f g h k l m n p r s t v w`,
);

/** Words that begin a sentence if they stand capitalised behind an abbreviation. */
const starters = words(
  `the this these it i he she they in if when while but so however some there here many most your her your
   both after although yet since at using even through throughout depending according despite without
   therefore thus moreover furthermore otherwise similarly instead finally ultimately overall typically
   unfortunately sometimes always please remember note consider ensure check create choose try provide
   follow include understand use practice learn avoid think ask begin build given whether which under`,
);

/** Words that begin a sentence behind a letter that may be an initial ("Website B. For instance"). */
const afterLetters = words("for our we you on to as with by from a an that what how its my no");

/**
 * Words that end no sentence with the number before them, though they have a capital: the model learned
 * from the Wall Street Journal, where "1. International" is part of a name.
 */
const behindNumbers = words(
  "review international business credit letters leisure financing who notable",
);

const closing = `)";}\\]*:@'({[‘’“”«»?!`;
const potentialEnd = new RegExp(`[.?!](?=(?<after>[${closing}]|\\s+(?<next>\\S+)))`, "gu");
const realigned = /(?<![\s\S])["')\]}‘’“”«»]+?(?:\s+|(?=--)|$)/mu;
const dashesOrDots = "-{2,}|\\.{2,}";
const token = new RegExp(
  [
    dashesOrDots,
    `[^("\`{[:;&#*@)}\\]\\-,\\s]\\S*?(?=\\s|$|[${closing}]|${dashesOrDots}|,(?=$|\\s|[${closing}]|${dashesOrDots}))`,
    "\\S",
  ].join("|"),
  "gu",
);

/** What no sentence begins with. */
const noBeginning = /^[;:,.!?]$|^\p{Lowercase}/u;

/**
 * Whether a sentence ends with `token` if `next` follows it. `named`: the word before is a name, whose next
 * word may be an initial.
 */
function endsSentence(token: string, next: string, named: boolean): boolean {
  if (/^[.?!]$/.test(token)) return true;
  if (!token.endsWith(".")) return false;
  const capital = /^\p{Uppercase}/u.test(next);
  const word = next.toLowerCase().replace(/\.$/, "");
  if (/^\.{2,}$/.test(token)) return capital && starters.has(word);
  if (token.endsWith("..")) return false;
  const type = token.slice(0, -1).toLowerCase();
  const abbreviated =
    abbreviations.has(type) || abbreviations.has(type.slice(type.lastIndexOf("-") + 1));
  if (/^[\p{L}_]\.$/u.test(token)) {
    if (abbreviated || noBeginning.test(next)) return false;
    return !capital || !named || starters.has(word) || afterLetters.has(word);
  }
  if (abbreviated) return capital && starters.has(word);
  if (/^-?[.,]?\d[\d,.-]*$/.test(type)) {
    return !noBeginning.test(next) && !behindNumbers.has(word);
  }
  return true;
}

interface Context {
  /** Text before the word with the mark. */
  before: string;
  /** The word, the mark and what follows it: a sign or a word. */
  words: string;
}

const nameBefore = /\p{Lu}[\p{L}’'-]*\.?\s*$/u;

function holdsEnd({ before, words }: Context): boolean {
  const tokens = words.match(token) ?? [];
  const named = nameBefore.test(before);
  return tokens.some((each, i) => {
    const next = tokens[i + 1];
    return next !== undefined && endsSentence(each, next, named);
  });
}

interface End {
  /** Behind the mark. */
  at: number;
  /** Where the next sentence begins. */
  next: number;
}

/** The ends of sentences. Of marks in one word, as in "?!", only the last can be one. */
function* endsOf(text: string): Generator<End> {
  let word = { from: 0, to: 0 };
  let before: { end: End; context: Context } | undefined;
  for (const { index, 0: mark, groups } of text.matchAll(potentialEnd)) {
    const between = text.slice(word.to, index);
    const blank = between.search(/\s\S*$/u);
    const from = blank > 0 ? word.to + blank + 1 : word.from;
    if (before && word.to <= from && holdsEnd(before.context)) yield before.end;
    const at = index + mark.length;
    const after = groups?.after ?? "";
    const { next } = groups ?? {};
    word = { from, to: index };
    before = {
      end: { at, next: next === undefined ? at : at + after.length - next.length },
      context: {
        before: text.slice(Math.max(0, from - 30), from),
        words: text.slice(from, at) + after,
      },
    };
  }
  if (before && holdsEnd(before.context)) yield before.end;
}

/** The sentences of a text. Quotes and brackets that close behind a mark belong to its sentence. */
export function sentencesOf(text: string): string[] {
  const spans: [number, number][] = [];
  let start = 0;
  for (const { at, next } of endsOf(text)) {
    spans.push([start, at]);
    start = next;
  }
  spans.push([start, text.trimEnd().length]);
  const sentences: string[] = [];
  let skipped = 0;
  for (const [i, [from, to]] of spans.entries()) {
    const following = spans[i + 1];
    const closed = following && text.slice(...following).match(realigned)?.[0];
    const end =
      closed === undefined ? to : (following as [number, number])[0] + closed.trimEnd().length;
    const sentence = text.slice(from + skipped, end);
    skipped = closed?.length ?? 0;
    if (sentence !== "") sentences.push(sentence);
  }
  return sentences;
}
