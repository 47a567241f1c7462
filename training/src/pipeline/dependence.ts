// Signs that an item can't be written without having read an earlier one.
import { numbersIn, sumOf } from "./numbers.ts";

export interface Written {
  title: string;
  text: string;
}

/** What every item may know: the prompt, and the answer before the first item. */
export interface Surroundings {
  prompt: string;
  before: string;
  /** Items follow each other by number or name. */
  ordered: boolean;
  /** "First", "second" at the start of an item only count it. */
  enumerated: boolean;
}

/** An item that opens with one of these goes on from the one before. */
const sequel =
  /^(then|next|after(ward)?s?\b|finally|lastly|last,|subsequently|once|when (this|that|you('| ha)ve)|now\b|again|from (there|here)|thus|therefore|hence|consequently|accordingly|as a (result|consequence)|similarly|likewise|conversely|in (contrast|turn|addition|return)|by contrast|also|additionally|furthermore|moreover|besides|however|but|and|yet|so\b|meanwhile|instead|alternatively|still|even so|on the (other hand|contrary)|nevertheless|nonetheless|plus|another|other|both|using (this|that|these|the)|with (this|that|these|the)|since (this|that|we|the)|because (this|that|of this)|given (this|that|these)|rather|in this (case|step|way)|at this (point|stage)|to do (this|so)|second(ly)?,|third(ly)?,|all (of )?(these|this|the above)|combine|combining|continue|repeat|substitut|simplif|the (remaining|rest|same|other|next|resulting|final)|later|eventually|soon|suddenly|one day|years? later|the (following|next) (day|morning)|till|until|return)\b/i;

const ordinal =
  /^(first(ly)?( of all)?|second(ly)?|third(ly)?|fourth(ly)?|fifth(ly)?|finally|lastly|another)\b[\s,]*/i;

/** A pronoun whose noun may stand in the item before. */
const pronoun = /^(it|its|this|that|these|those|they|their|them|he|his|she|her|such|there|here)\b/i;

/** A reference to an earlier item, wherever it stands. */
const reference =
  /\b(as (mentioned|described|shown|noted|discussed|explained|seen|stated|said) (above|before|earlier|previously)|as (above|before|earlier)|(mentioned|described|shown|listed|noted|discussed|created|defined|given|calculated|found|obtained) (above|earlier|before|previously|in (step|part|section))|aforementioned|(the|this) (above|previous|preceding|former|latter|prior|same (step|process|procedure|method))\b|(from|in|of|by|with|using) (the )?(previous|preceding|last|prior) (step|item|point|section|part|one|example|answer)|(repeat|from|in|of|after|to|see|with|by|using) (steps?|parts?|points?|items?|sections?|options?|numbers?) #?\d|steps? #?\d+ (above|and|to|through|-)|see (above|below)|from above|the (next|previous|last|final) (step|stage|phase)|(these|those|this) (steps?|stages?|phases?)|(in addition|similar|compared|contrary|unlike|equal) (to )?(the )?(previous|above|former|latter|first|other) (one|item|option|method|approach|two|point)?|running total|so far|previously|(all|both|each) of (the )?(above|previous))\b/i;

const pronounThen = /\b(we|you|it|he|she|they|i|and|then) (then|can now|now)\b/i;

/** Titles that count out a sequence. Options, examples and methods don't. */
const numbered =
  /^(the )?((step|stage|phase|chapter|act|scene|part|day|week|month|year|hour|minute|verse|chorus|stanza|bridge|paragraph|panel|episode|level|round|move|turn|slide|lesson|session|module|tier|section|page|line|beat|frame)s?\s*(#?\d+|one|two|three|four|five|six|i+v?|[a-e])?\b|day\b|(first|second|third|fourth|fifth|next|last|final|initial) (step|stage|phase|day|week|part|act|scene|chapter|half|paragraph|quarter|verse|stanza|third|month|year|round|draft)|(monday|tuesday|wednesday|thursday|friday|saturday|sunday)\b|(morning|afternoon|evening|night|breakfast|lunch|dinner)s?\b|verse|chorus|bridge|outro|exposition|rising action|climax|falling action|resolution|denouement|beginning|middle|end(ing)?\b|\d{1,2}(:\d\d)?\s*([ap]\.?m\b|[-–])|\d{1,2}:\d\d)/i;

const procedureTitle =
  /^(ingredients?|instructions?|directions?|method|steps?|preparation|procedure|materials?|equipment|supplies|installation|setup|what you('ll| will) need|you('ll| will) need|for the )/i;

/** Words in a list's lead-in that say its items are done one after another… */
const procedure =
  /\b(steps|step[- ]by[- ]step|instructions|directions|procedure|recipe|ingredients|walkthrough|tutorial|workflow|algorithm|timeline|itinerary|schedule|agenda|routine|sequence|chronological(ly)?|outline|plot|storyline|work(s|ed)? as follows|how it works|(in|follow(ing)?) (this|these|the) order|(do|achieve|solve|calculate|find|prove|implement|install|create|build|make|set up|start|approach) (this|it|that|the)\b[^.\n]*:?$|process|here('|’)?s how|here is how|follow (these|the|this)|logic|derivation|proof|break (it|this|down)|let('|’)?s|we (can|need|will|have to|must|should)|to (calculate|determine|find|solve|compute|prove|implement|install|derive|evaluate|compile|run|execute|deploy|configure|convert|obtain|prepare|cook))\b/i;
/** …and those that say they stand side by side. */
const sideBySide =
  /\b(tips?|ways|strateg(y|ies)|ideas|suggestions|reasons|factors|benefits|advantages|disadvantages|examples|types|techniques|practices|options|considerations|methods|approaches|aspects|features|characteristics|differences|similarities|causes|effects|impacts|challenges|resources|tools|recommendations|questions|names|titles|facts|activities|topics|uses|applications|elements|components|criteria|principles|skills|books|movies|films|songs|games|foods|places|countries|cities|companies|products|pros|cons|symptoms|points|areas|scenarios|possibilities|alternatives|variations)\b/i;
/** A prompt that asks for a procedure. */
const procedural =
  /\b(how (do|can|could|would|should|to)( (i|you|we|one|someone))? (make|cook|bake|prepare|install|implement|build|create|set ?up|write|use|fix|configure|get|change|calculate|find|solve|convert|do|start|train|draw|tie|clean|remove|replace|grow|design|develop|deploy|add|connect|assemble|construct|play)|recipe|step[- ]by[- ]step|steps|instructions|tutorial|walk me through|solve|prove|derive|calculate|compute|find the|how (many|much|long|far|old)|implement|code|function|script|program|regex|sql|algorithm|itinerary|schedule|plan|routine|agenda|timeline|outline|workout)\b/i;
/** A prompt that asks for one thing told from start to end. */
const told =
  /\b(story|stories|poem|poetry|haiku|limerick|sonnet|song|lyrics|rap|dialog(ue)?|conversation between|screenplay|play script|movie script|monologue|novel|fable|fairy ?tale|fan ?fic\w*|scene|chapter|role-?play|pretend|imagine|act as|tale|joke|riddle|script|narrat\w+|plot|episode|comic|skit|transcript|speech|once upon|letter|e-?mail|essay|memoir|diary|journal entry)\b/i;

/** Answers to prompts like this are stories, poems, letters or dialogues and stay serial. */
export function isTold(prompt: string): boolean {
  return (
    /\b(write|tell|compose|create|make|continue|give|generate|draft|produce|craft|describe|script|come up|can you)\b/i.test(prompt) &&
    told.test(prompt.slice(0, 400))
  );
}

/** Why the items depend on each other, or undefined where no cue says so. */
export function dependence(
  items: readonly Written[],
  around: Surroundings = { prompt: "", before: "", ordered: false, enumerated: false },
): string | undefined {
  const sequence = sequenceOf(items, around);
  if (sequence !== undefined) return sequence;
  const known = `${around.prompt}\n${around.before}`.toLowerCase();
  const bodies = items.map(({ title, text }) => bodyOf(text, title, around.enumerated));
  const results = new Set<string>();
  const introduced = new Set<string>();
  const names = new Set<string>();
  const [first] = bodies;
  for (const [i, { title, text }] of items.entries()) {
    const { lead, rest } = bodies[i] ?? { lead: "", rest: "" };
    if (reference.test(text)) return "refers to another part";
    if (i > 0) {
      if (sequel.test(lead) || sequel.test(rest)) return "goes on from the one before";
      if (pronoun.test(lead) && startOf(lead) !== startOf(first?.lead ?? "")) {
        return "opens with a pronoun";
      }
      if (pronounThen.test(firstSentence(rest))) return "goes on from the one before";
      const earlier = items.slice(0, i).find((item) => mentions(rest, item.title, known));
      if (earlier) return "names an earlier part";
      for (const noun of definites(rest)) {
        if (introduced.has(noun) && !title.toLowerCase().includes(noun)) {
          return "takes up what an earlier part introduced";
        }
      }
    }
    const said = new Set(numbersIn(text));
    for (const result of results) if (said.has(result)) return "uses an earlier result";
    for (const line of text.split("\n")) {
      const sum = sumOf(line);
      if (sum) results.add(sum.result);
    }
    const own = codeNames(text);
    for (const name of own) if (names.has(name)) return "uses a name from an earlier part";
    for (const name of own) if (!known.includes(name.toLowerCase())) names.add(name);
    for (const noun of indefinites(text)) if (!known.includes(noun)) introduced.add(noun);
  }
  return undefined;
}

/** Steps, chapters, days, ingredients and instructions, derivations. */
function sequenceOf(items: readonly Written[], around: Surroundings): string | undefined {
  if (items.some(({ title }) => numbered.test(title))) return "numbered steps";
  if (items.some(({ title }) => procedureTitle.test(title))) return "a procedure";
  const leadIn = lastSentence(around.before);
  const parallelWords = sideBySide.test(leadIn);
  const instructed = procedure.test(leadIn) || procedural.test(around.prompt);
  if (around.ordered && instructed && !parallelWords) return "a procedure";
  if (procedure.test(leadIn) && !parallelWords) return "a procedure";
  const formulas = items.filter(({ text }) => /\\\[|\\\(|\$\$|\\frac|\$[^$\n]+\$/.test(text));
  if (formulas.length > 1 && procedural.test(around.prompt)) return "works out formulas";
  const programs = items.filter(({ text }) => /^\s*(```|~~~)/m.test(text));
  const alternatives = items.every(({ title }) => /^(option|method|approach|example|solution|alternative|using|use) /i.test(title));
  if (programs.length > 1 && !alternatives) return "a program in several parts";
  return undefined;
}

interface Body {
  /** Without list marker, emphasis or ordinal. */
  lead: string;
  /** Behind the title. */
  rest: string;
}

function bodyOf(text: string, title: string, enumerated: boolean): Body {
  const plain = text
    .replace(/^\s*([-*+•]|\d+[.)]|#+|\|)\s*/, "")
    .replace(/\*\*|__|`/g, "")
    .trim();
  const lead = enumerated ? plain.replace(ordinal, "") : plain;
  const rest = lead.startsWith(title) ? lead.slice(title.length).replace(/^[\s:.,–—|-]+/, "") : lead;
  return { lead, rest };
}

const startOf = (text: string) => (/^[\p{L}']+/u.exec(text)?.[0] ?? "").toLowerCase();

const firstSentence = (text: string) => text.split(/[.!?](\s|$)/)[0] ?? "";

/** The last line before the items, which says what they are. */
function lastSentence(before: string): string {
  const line = before.trimEnd().split("\n").at(-1) ?? "";
  return line.slice(-240);
}

/** An earlier title of two words or more, or a proper name, that nothing before the items names. */
function mentions(text: string, title: string, known: string): boolean {
  const lower = title.toLowerCase();
  if (lower.length < 4 || known.includes(lower)) return false;
  if (title.includes(" ")) return text.toLowerCase().includes(lower);
  return new RegExp(`[a-z,] ${escape(title)}\\b`).test(text) && /^\p{Lu}/u.test(title);
}

const escape = (text: string) => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");

const stop = "(?![\\p{L}'’-])";
const modifiers = "(?:[\\p{L}'’-]+ ){0,2}?";
const end = "(?=[.,;:!?)\\n]| (?:of|to|for|in|on|at|with|that|which|who|from|and|or|is|are|was|by|as|you|your|where|when|will|can|has|so|into|if|it|until|using|before|after|about|such|than|while|should|may|but)\\b)";
const indefinite = new RegExp(`\\b(?:a|an|some|one) ${modifiers}([\\p{L}'’-]{3,})${stop}${end}`, "giu");
const definite = new RegExp(`\\b(?:the|this|that|these|those) ${modifiers}([\\p{L}'’-]{3,})${stop}${end}`, "giu");
/** Nouns that are definite without having been introduced. */
const unique = new Set(
  "world time day end way number rest same most best importance process use need ability environment future past person amount level area type kind part reader user audience country government market company body point fact case key role value year week hour moment people situation problem issue topic subject task name system quality form result effect order state term group".split(" "),
);

const indefinites = (text: string) =>
  Array.from(text.matchAll(indefinite), ([, noun]) => (noun ?? "").toLowerCase());

/** Heads of definite phrases that the text itself has not used before. */
function definites(text: string): string[] {
  const lower = text.toLowerCase();
  return Array.from(text.matchAll(definite), ({ index, 1: noun }) => ({
    noun: (noun ?? "").toLowerCase(),
    index,
  }))
    .filter(({ noun, index }) => !unique.has(noun) && !lower.slice(0, index).includes(noun))
    .map(({ noun }) => noun);
}

/** Names in code, in line or in blocks, that look made up for this program. */
function codeNames(text: string): Set<string> {
  const names = new Set<string>();
  for (const [, code = ""] of text.matchAll(/`([^`\n]{3,60})`/g)) names.add(code);
  return names;
}
