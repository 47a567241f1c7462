// Signs that an item can't be written without having read an earlier one.
import { sumOf, workedWith } from "./numbers.ts";

export interface Written {
  title: string;
  text: string;
}

/** What every item may know: the prompt, and the answer before the first item. */
export interface Surroundings {
  prompt: string;
  before: string;
  /** The line that says what the items are. */
  leadIn: string;
  /** Items are sections or long paragraphs, which often build on each other. */
  sections: boolean;
  /** Items follow each other by number or name. */
  ordered: boolean;
  /** "First", "second" at the start of an item only count it. */
  enumerated: boolean;
}

/** An item that opens with one of these is the next step after the one before. */
const sequel =
  /^(then|next|after(ward)?s?\b|subsequently|once|when (this|that|you('| ha)ve)|now\b|again|from (there|here)|thus|therefore|hence|consequently|accordingly|as a (result|consequence)|meanwhile|in (turn|return|this (case|step|way))|so\b|using (this|that|these|the)|with (this|that|these|the)|since (this|that|we|the)|because (this|that|of this)|given (this|that|these)|at this (point|stage)|to do (this|so)|all (of )?(these|this|the above)|combin(e|ing)|continue|repeat|substitut|simplif|the (remaining|rest|same|other|next|resulting|final)|later|eventually|soon|suddenly|one day|years? later|the (following|next) (day|morning)|till|until|return)\b/i;

/** The same, where it tells even of the first item that all of them run on. */
const goesOn =
  /^(now,? |then,? |next,? |first,? |(we|it|you|i|the \w+) (first|start|begin)|let('|’)?s |to \w+ (this|that|it|them|these)\b)/i;

/** An item that opens with one of these only knows that others stand before it. */
const addition =
  /^(finally|lastly|last,|similarly|likewise|conversely|in (contrast|addition)|by contrast|also|or|additional|additionally|further|furthermore|moreover|besides|however|but|and|yet|instead|alternatively|still|even so|on the (other hand|contrary)|nevertheless|nonetheless|plus|another|other|both|rather|second(ly)?,|third(ly)?,)\b/i;

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
  /^(the )?((step|stage|phase|chapter|act|scene|part|day|week|month|year|hour|minute|verse|chorus|stanza|bridge|paragraph|panel|episode|level|round|move|turn|slide|lesson|session|module|section|page|line|beat|frame)s?\s*(#?\d+|one|two|three|four|five|six|i+v?|[a-e])\b|(step|stage|phase|chapter|act|scene|day)s?$|(first|second|third|fourth|fifth|next|last|final|initial) (step|stage|phase|day|week|part|act|scene|chapter|half|paragraph|quarter|verse|stanza|third|month|year|round|draft)|(monday|tuesday|wednesday|thursday|friday|saturday|sunday|january|february|march|april|may|june|july|august|september|october|november|december|spring|summer|autumn|fall|winter)\b|(morning|afternoon|evening|night|breakfast|lunch|dinner)s?\b|verse|chorus|bridge|outro|exposition|rising action|climax|falling action|resolution|denouement|beginning|middle|end(ing)?\b|\d{1,2}(:\d\d)?\s*([ap]\.?m\b|[-–])|\d{1,2}:\d\d)/i;

/** Parts of a recipe or manual, each written with the others in view. */
const procedureTitle =
  /^(ingredients?|instructions?|directions?|method|steps?|preparation|procedure|materials?|equipment|supplies|installation|setup|what you('ll| will) need|you('ll| will) need)( \(.*)?$/i;

/** Parts that speak of another part: an answer of its question, an explanation of its code. */
const aboutAnother =
  /^((sample |expected |actual )?(input|output)s?|(correct |final )?answers?( key)?|solutions?|explanations?( of .*)?|results?|(sample |example )?(code|usage|output)|examples?|example (sentence|usage|output|input|code)s?|how (it|this|the [\w ]+) works?|here('|’)?s .*|here is .*|command|analysis|comparison( of .*)?|discussion|evaluation|translation|verification|proof|justification|rationale|reasoning|(key |main )?(similarit(y|ies)|differences?|points|takeaways)|when to use .*|calculations?( of .*)?|conclusions?|summary|constraints|relationships|your turn|rubric)$/i;

/** "A) …": a choice is written against the right one. */
const choice = /^\(?[a-eA-E][.)](\s|$)/;

/** Words in a list's lead-in that say its items are done one after another. */
const procedure =
  /\b(steps?|stages?|phases?|step[- ]by[- ]step|instructions|directions|procedure|recipe|ingredients|walkthrough|tutorial|workflow|algorithm|timeline|itinerary|schedule|agenda|routine|sequence|chronological(ly)?|outline|plot|storyline|work(s|ed)? as follows|how (it|this) works|(in|follow(ing)?) (this|these|the) (order|steps?)|what to do|process|progression|(solution|answer)s?\W*$|calculations?|here('|’)?s how|here is how (to|you|we|i)|logic|derivation|proof|break (it|this|down)|let('|’)?s|we (can|need|will|have to|must|should)|to (calculate|determine|find|solve|compute|prove|implement|install|derive|evaluate|compile|run|execute|deploy|configure|convert|obtain|prepare|cook|create|build|make|set up|achieve|fix|use|do))\b/i;
/** Nobody lists these side by side, whatever else the lead-in says. */
const steps =
  /\b(steps|step[- ]by[- ]step|stages|phases|instructions|procedure|recipe|ingredients|chronological(ly)?|timeline|itinerary|schedule|workflow|walkthrough|plan|roadmap|implementation|journey|unfolds?|evolution of|here('|’)?s how|here is how (to|you|we|i)|in (this|the) (code|program|query|function|script|example|snippet)|(in|follow) (this|the|that) order)\b/i;
/** Words that say items stand side by side. */
const sideBySide =
  /\b(tips?|ways|strateg(y|ies)|ideas|suggestions|reasons|factors|benefits|advantages|disadvantages|examples|types|techniques|practices|options|considerations|methods|approaches|aspects|features|characteristics|differences|similarities|causes|effects|impacts?|challenges|resources|recommendations|questions|names|titles|facts|activities|topics|uses|applications|criteria|principles|skills|books|movies|films|songs|games|foods|dishes|places|countries|cities|companies|products|pros|cons|strengths|weaknesses|opportunities|threats|symptoms|areas|scenarios|possibilities|alternatives|variations|answers|clues|signs|signals|things|initiatives|actions|traits|qualities|theories|explanations|requirements|responsibilities|roles|services|findings|highlights|trends|themes|lessons|problems|issues|solutions|models|frameworks|platforms|websites|sources|artists|musicians|actors|people|authors|events|holidays|traditions|brands|hotels|restaurants|attractions|museums|landmarks|animals|plants|species|main|key|common|popular|notable|famous|several|various|why|includ(e|es|ing)|such as)\b/i;
/** A prompt that asks for something to be worked out or done in order. */
const procedural =
  /\b(how (do|can|could|would|should|to)( (i|you|we|one|someone))? (make|cook|bake|prepare|install|implement|build|create|set ?up|write|use|fix|configure|get|change|calculate|find|solve|convert|do|start|train|draw|tie|clean|remove|replace|grow|design|develop|deploy|add|connect|assemble|construct|play)|solve|prove|derive|calculate|compute|find the|how (many|much|long|far|old)|implement|code|function|script|program|regex|sql|algorithm|plan|outline)\b/i;
/** A prompt whose answer is a sequence, down to its smallest list. */
const sequential =
  /\b(recipe|step[- ]by[- ]step|steps|instructions|tutorial|walk me through|itinerary|schedule|routine|agenda|timeline|workout|training plan|how (do|can|to)( (i|you|we))? (make|cook|bake|install|tie|assemble|fix|refill|set ?up|build|configure)|guide (to|for|on)|the process|curriculum|in what order)\b/i;

/** A verb at the start of an item: something to do. */
const imperative = new RegExp(
  `^(${"add adjust allow analyze analyse apply arrange ask assemble assess attach avoid bake be begin boil break bring build buy calculate call carefully change check choose clean click close collect combine compare compile complete compute conduct configure confirm connect consider contact continue convert cook cool copy cover create cut decide define delete deploy describe design determine develop disable discuss divide document download draw drain drizzle drop edit enable encourage ensure enter establish estimate evaluate examine execute explain explore export express factor fill find finish fix fold follow gather generate get give go grab heat hold identify implement import include increase initialize insert inspect install integrate join keep launch learn let line list load locate look make mark measure merge mix modify monitor move multiply navigate note obtain open optimize organize outline paste perform pick place plan plug pour practice preheat prepare press print process provide pull push put read record reduce refine remove rename repeat replace report request research reset restart return review rinse roll run save scan schedule score search season select send serve set share shift show simmer simplify sit slice slide solve sort split spread sprinkle stand start state stir stop store study submit subtract summarize support switch take tap test think tie track train transfer translate try turn type understand unplug update upgrade upload use validate verify visit wait wash watch whisk work wrap write".split(" ").join("|")})\\b`,
  "i",
);

/** A prompt that asks for one thing told from start to end. */
const told =
  /\b(story|stories|(animation|movie|film|video|tv|podcast|radio|short|comedy) script|poem|poetry|haiku|limerick|sonnet|song|lyrics|rap|dialog(ue)?|conversation between|screenplay|play script|movie script|monologue|novel|fable|fairy ?tale|fan ?fic\w*|scene|chapter|tale|joke|riddle|narrat\w+|plot|episode|comic|skit|debate|transcript|once upon|memoir|diary|journal entry|letter)\b/i;

/** A prompt says what it wants at its start or end; between may be a text of any kind. */
const askedWithin = 400;

/** Answers to prompts like this are stories, poems, letters or dialogues and stay serial. */
export function isTold(prompt: string): boolean {
  return (
    /\b(write|tell|compose|create|make|continue|give|generate|draft|produce|craft|describe|explain|conduct|simulate|hold|script|come up|can you)\b/i.test(
      prompt,
    ) && told.test(`${prompt.slice(0, askedWithin)}\n${prompt.slice(-askedWithin)}`)
  );
}

/** Why items depend on each other, or the longest run of them, [from, to), that does not. */
export type Verdict = { reason: string } | { from: number; to: number };

const nowhere: Surroundings = {
  prompt: "",
  before: "",
  leadIn: "",
  sections: false,
  ordered: false,
  enumerated: false,
};

/**
 * Holds items against each other. One that goes on from its neighbour as the next step, uses what
 * an earlier one found or refers to it makes the whole group dependent. One that only knows of
 * those before it ("also", a pronoun, a name) ends a run: what is written before or after a stage
 * may be read.
 */
export function dependence(items: readonly Written[], around: Surroundings = nowhere): Verdict {
  const sequence = sequenceOf(items, around);
  if (sequence !== undefined) return { reason: sequence };
  const bodies = items.map(({ title, text }) => bodyOf(text, title, around.enumerated));
  const reason = stepwise(items, bodies, around);
  if (reason !== undefined) return { reason };
  const known = `${around.prompt}\n${around.before}`.toLowerCase();
  let run = { from: 0, to: 0 };
  let longest = run;
  let why = "";
  items.forEach((_, i) => {
    const soft = i === run.from ? undefined : knowsOthers(items, bodies, run.from, i, known);
    if (soft !== undefined) {
      why = soft;
      run = { from: i, to: i };
    }
    run = { from: run.from, to: i + 1 };
    if (run.to - run.from > longest.to - longest.from) longest = run;
  });
  return longest.to - longest.from > 1 ? longest : { reason: why || "fewer than two branches" };
}

/** Signs that one item needs what another says. */
function stepwise(
  items: readonly Written[],
  bodies: readonly Body[],
  around: Surroundings,
): string | undefined {
  const known = `${around.prompt}\n${around.before}`.toLowerCase();
  const results = new Set<string>();
  const introduced = new Set<string>();
  const names = new Set<string>();
  const standSideBySide = sideBySide.test(around.leadIn);
  for (const [i, { title, text }] of items.entries()) {
    const { lead, rest } = bodies[i] ?? { lead: "", rest: "" };
    if (reference.test(text)) return "refers to another part";
    if (goesOn.test(lead)) return "goes on from the one before";
    if (
      i > 0 &&
      (sequel.test(lead) || sequel.test(rest) || pronounThen.test(firstSentence(rest)))
    ) {
      return "goes on from the one before";
    }
    if (
      !standSideBySide &&
      definites(rest).some((noun) => introduced.has(noun) && !title.toLowerCase().includes(noun))
    ) {
      return "takes up what an earlier part introduced";
    }
    if (workedWith(text).some((number) => results.has(number))) return "uses an earlier result";
    for (const line of text.split("\n")) results.add(sumOf(line)?.result ?? "");
    const own = codeNames(text);
    for (const name of own) if (names.has(name)) return "uses a name from an earlier part";
    for (const name of own) if (!known.includes(name.toLowerCase())) names.add(name);
    for (const noun of indefinites(text)) if (!known.includes(noun)) introduced.add(noun);
  }
  return undefined;
}

/** Signs that item `i` was written knowing of those from `from` on, without needing them. */
function knowsOthers(
  items: readonly Written[],
  bodies: readonly Body[],
  from: number,
  i: number,
  known: string,
): string | undefined {
  const { lead, rest } = bodies[i] ?? { lead: "", rest: "" };
  if (addition.test(lead) || addition.test(rest)) return "adds to the one before";
  if (pronoun.test(lead) && startOf(lead) !== startOf(bodies[from]?.lead ?? "")) {
    return "opens with a pronoun";
  }
  const names = items.slice(from, i).some(({ title }) => mentions(rest, title, known));
  return names ? "names an earlier part" : undefined;
}

/** Steps, chapters, days, ingredients and instructions, derivations. */
function sequenceOf(items: readonly Written[], around: Surroundings): string | undefined {
  const has = (pattern: RegExp) => items.some(({ title }) => pattern.test(title));
  if (has(numbered)) return "numbered steps";
  if (has(procedureTitle)) return "a procedure";
  if (has(aboutAnother)) return "a part about another";
  if (has(choice)) return "choices of a question";
  const measured = items.filter(({ text }) => quantity.test(unmarked(text))).length;
  if (measured * 3 >= items.length && measured > 1) return "a procedure";
  if (isProcedure(items, around)) return "a procedure";
  if (around.sections && !standApart(items, around)) return "sections may build on each other";
  if (buildsOnTitle(items)) return "a part about another";
  const formulas = items.filter(({ text }) =>
    /\\\[|\\\(|\$\$|\\frac|\$[^$\n]*[\\^_][^$\n]*\$/.test(text),
  );
  if (formulas.length > 1 && procedural.test(around.prompt)) return "works out formulas";
  const programs = items.filter(({ text }) => /^[ \t]*(```|~~~)/m.test(text));
  const alternatives = items.every(({ title }) => alternative.test(title));
  if (programs.length > 1 && !alternatives) return "a program in several parts";
  return undefined;
}

/** "2 cups flour": an ingredient is measured with the others in mind. */
const quantity =
  /^[\d½¼¾⅓⅔][\d\s/.,½¼¾⅓⅔-]*(\([^)]*\) )?(large|small|medium|cups?|tablespoons?|tbsp|teaspoons?|tsp|ounces?|oz|grams?|g|kg|ml|l|liters?|litres?|pounds?|lbs?|cans?|cloves?|pinch|sticks?|slices?|bunch|packages?|packets?)\b/i;
/** A prompt that asks for advice, of which each piece stands alone. */
const advice =
  /\b(tips?|ways|strateg(y|ies)|ideas?|suggest(ions?|ed)?|advice|advise|recommend(ations?)?|techniques|practices|activities|options|list|examples|best|improve|increase|reduce|become|prevent|avoid|deal with|cope|manage|stay)\b/i;

/** A prompt that asks for several things side by side. */
const severalThings =
  /\b(compare|comparison|differences?|versus|vs\.?|pros and cons|advantages|swot|strengths|options|alternatives|types of|kinds of|aspects|each|both|several|list|examples|questions|overview|facts|basics)\b/i;

/** Whether something says that sections stand side by side: the lead-in, the prompt, their titles. */
function standApart(items: readonly Written[], { prompt, leadIn }: Surroundings): boolean {
  if (sideBySide.test(leadIn) || advice.test(prompt) || severalThings.test(prompt)) return true;
  const asked = prompt.toLowerCase();
  return items.every(({ title }) =>
    (title.toLowerCase().match(/[\p{L}\d]{4,}/gu) ?? []).some((word) => asked.includes(word)),
  );
}

/** "Tasks for each ticket" after "Tickets". */
function buildsOnTitle(items: readonly Written[]): boolean {
  return items.some(({ title }, i) => {
    const noun =
      /\b(?:for|of|in|on|to) (?:each|the|these|those|all|every) (?:[\p{L}-]+ )?([\p{L}]{4,})/iu.exec(
        title,
      )?.[1];
    const stem = noun?.toLowerCase().replace(/s$/, "");
    return (
      stem !== undefined && items.slice(0, i).some((one) => one.title.toLowerCase().includes(stem))
    );
  });
}

const alternative = /^(option|method|approach|example|alternative|using|use)\b/i;

function isProcedure(
  items: readonly Written[],
  { prompt, leadIn, ordered }: Surroundings,
): boolean {
  if (steps.test(leadIn)) return true;
  if (sideBySide.test(leadIn)) return false;
  if (procedure.test(leadIn) || sequential.test(prompt)) return true;
  const instructed = procedural.test(prompt);
  if (instructed && ordered) return true;
  const toDo = items.filter(({ title }) => imperative.test(title)).length;
  return toDo * 2 >= items.length && (instructed || !advice.test(prompt));
}

interface Body {
  /** Without list marker, emphasis or ordinal. */
  lead: string;
  /** Behind the title. */
  rest: string;
}

function bodyOf(text: string, title: string, enumerated: boolean): Body {
  const plain = unmarked(text);
  const lead = enumerated ? plain.replace(ordinal, "") : plain;
  const rest = lead.startsWith(title)
    ? lead.slice(title.length).replace(/^[\s:.,–—|-]+/, "")
    : lead;
  return { lead, rest };
}

/** Without list marker and emphasis. */
const unmarked = (text: string) =>
  text
    .replace(/^\s*([-*+•]|\d+[.)]|#+|\|)\s*/, "")
    .replace(/\*\*|__|`/g, "")
    .trim();

const startOf = (text: string) => (/^[\p{L}']+/u.exec(text)?.[0] ?? "").toLowerCase();

const firstSentence = (text: string) => text.split(/[.!?](\s|$)/)[0] ?? "";

/** An earlier title of two words or more, or a proper name, that nothing before the items names. */
function mentions(text: string, title: string, known: string): boolean {
  const lower = title.toLowerCase();
  if (lower.length < 4 || known.includes(lower)) return false;
  if (title.includes(" ")) return text.toLowerCase().includes(lower);
  return new RegExp(`[a-z,] ${literal(title)}\\b`).test(text) && /^\p{Lu}/u.test(title);
}

const literal = (text: string) => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");

const stop = "(?![\\p{L}'’-])";
const modifiers = "(?:[\\p{L}'’-]+ ){0,2}?";
const end =
  "(?=[.,;:!?)\\n]| (?:of|to|for|in|on|at|with|that|which|who|from|and|or|is|are|was|by|as|you|your|where|when|will|can|has|so|into|if|it|until|using|before|after|about|such|than|while|should|may|but)\\b)";
const indefinite = new RegExp(
  `\\b(?:a|an|some|one) ${modifiers}([\\p{L}'’-]{3,})${stop}${end}`,
  "giu",
);
const definite = new RegExp(
  `\\b(?:the|this|that|these|those) ${modifiers}([\\p{L}'’-]{3,})${stop}${end}`,
  "giu",
);
/** Nouns that are definite without having been introduced. */
const unique = new Set(
  "world time day end way number rest same most best importance process use need ability environment future past person amount level area type kind part reader user audience country government market company body point fact case key role value year week hour moment people situation problem issue topic subject task name system quality form result effect order state term group".split(
    " ",
  ),
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

/** Names in code, and addresses. */
function codeNames(text: string): Set<string> {
  const names = new Set<string>();
  for (const [, code = ""] of text.matchAll(/`([^`\n]{3,60})`/g)) names.add(code);
  for (const [address] of text.matchAll(/\b(?:https?:\/\/|www\.)[^\s)"'>]+/g)) names.add(address);
  return names;
}
