import { type Candidate, findCandidates, type Item } from "./candidates.ts";
import { chooseSpans } from "./choose.ts";
import { dependence as holdAgainst, type Verdict } from "./dependence.ts";
import { parseBlocks } from "./markdown.ts";
import { balancedRuns } from "./merge.ts";
import { areUnique, namesOf } from "./names.ts";
import { findInParagraphs } from "./sentences.ts";
import { isInOrder, isTold, saysSideBySide } from "./sequence.ts";
import { type Count, estimate, type StageCost, stageCost } from "./steps.ts";
import { shortened, titlesOf } from "./titles.ts";
import { unmarked } from "./written.ts";

/**
 * An answer as ordinary text, cut into what was written serially and what could have been written
 * in parallel. Joining every `serial` and every `body` in order gives the text back byte for byte.
 */
export type Part = { serial: string } | { parallel: Branch[] };

export interface Branch {
  title: string;
  body: string;
}

export interface Rules {
  count: Count;
  branches: number;
  stages: number;
  titleTokens: number;
  titleWords: number;
  /** Characters a body must have at least; it must also be longer than its title. */
  body: number;
  /** Shorter answers stay serial. In tokens. */
  answer: number;
  /** Decode steps that a stage must save. */
  least: number;
}

export const defaultRules: Rules = {
  count: estimate,
  branches: 10,
  stages: 8,
  titleTokens: 16,
  titleWords: 10,
  body: 10,
  answer: 0,
  least: 12,
};

/** Ordinary answers of fewer tokens stay serial, as in the paper. */
export const ordinaryAnswer = 128;

const leadInCharacters = 240;
/** Longer lists are data, and comparing all their items takes long. */
const mostItems = 200;

/** A candidate as the stage it would be. */
export interface Proposal {
  kind: Candidate["kind"];
  start: number;
  end: number;
  branches: Branch[];
  /** Counted where nothing else rules it out. */
  cost: StageCost | undefined;
  /** Why its form rules it out. */
  form: string | undefined;
  /** Why its branches depend on each other. */
  dependence: string | undefined;
}

/** A proposal that was taken. */
export interface Stage extends Proposal {
  cost: StageCost;
}

export const reasonOf = ({ form, dependence }: Proposal): string | undefined => form ?? dependence;

export interface Cut {
  parts: Part[];
  stages: Stage[];
  /** Why what looked parallel was kept serial. */
  rejections: { kind: Candidate["kind"]; reason: string }[];
}

/** Cuts one answer by its own structure. Never fails: what can't be cut stays serial. */
export function cut(text: string, prompt = "", rules: Partial<Rules> = {}): Cut {
  const all = { ...defaultRules, ...rules };
  return take(text, propose(text, prompt, findAll(text, prompt), all), all);
}

/** Every candidate that the text's own structure gives. */
export function findAll(text: string, prompt: string): Candidate[] {
  const blocks = parseBlocks(text);
  return [...findCandidates(blocks, text, prompt), ...findInParagraphs(blocks, text, prompt)];
}

/** Why a whole answer stays serial, if it does. */
export function keptSerial(text: string, prompt: string, rules: Rules): string | undefined {
  if (/<\|\/?(title|para|branch)\|>/.test(text)) return "holds a marker's text";
  if (rules.answer > 0 && rules.count(text) < rules.answer) return "a short answer";
  if (isTold(prompt)) return "a story, poem, letter or dialogue";
  return undefined;
}

/** Holds every candidate against the rules. */
export function propose(
  text: string,
  prompt: string,
  candidates: readonly Candidate[],
  rules: Rules,
): Proposal[] {
  const serial = candidates.length > 0 ? keptSerial(text, prompt, rules) : undefined;
  return judge(text, prompt, candidates).flatMap(({ given, verdict }) => {
    const dependence = "reason" in verdict ? verdict.reason : undefined;
    const runs = "reason" in verdict ? [{ from: 0, to: given.items.length }] : verdict.runs;
    return runs.map(({ from, to }) => {
      const items = given.items.slice(from, to);
      const branches = branchesOf(text, items, rules);
      const start = items[0]?.start ?? given.start;
      const end = items.at(-1)?.end ?? given.end;
      let form = serial ?? wordsAlone(text, items, rules) ?? refuse(text, start, branches, rules);
      // Counting is what takes time, so only what else would do is counted.
      const counted = form === undefined && dependence === undefined;
      const cost = counted ? stageCost(branches, rules.count) : undefined;
      if (cost && cost.plain - cost.steps < rules.least) form = "saves no steps";
      return { kind: given.kind, start, end, branches, cost, form, dependence };
    });
  });
}

/** Chooses among what the rules left, and cuts. */
export function take(text: string, proposals: readonly Proposal[], rules: Rules): Cut {
  const possible = proposals.filter(
    (proposal): proposal is Stage =>
      reasonOf(proposal) === undefined && proposal.cost !== undefined,
  );
  // Where stages that lose steps are wanted as well, they must be worth something.
  const allowed = Math.max(0, 1 - rules.least);
  const stages = chooseSpans(
    possible,
    ({ cost }) => cost.plain - cost.steps + allowed,
    text,
    rules.stages,
  );
  const rejections = proposals
    .filter((proposal) => !stages.some((stage) => stage === proposal))
    .map((proposal) => ({
      kind: proposal.kind,
      reason: reasonOf(proposal) ?? "another structure saves more",
    }));
  return { parts: slice(text, stages), stages, rejections };
}

export function plainText(parts: readonly Part[]): string {
  return parts
    .map((part) => ("serial" in part ? part.serial : part.parallel.map((b) => b.body).join("")))
    .join("");
}

/** Items as branches, merged where there are too many. A title is "" where there is no short one. */
function branchesOf(text: string, items: readonly Item[], rules: Rules): Branch[] {
  const fits = (title: string) =>
    title.split(" ").length <= rules.titleWords && rules.count(title) <= rules.titleTokens;
  const titles = titlesOf(items);
  const sizes = items.map(({ start, end }) => end - start);
  const starts =
    items.length <= rules.branches ? sizes.keys() : balancedRuns(sizes, rules.branches);
  return Array.from(starts).map((first, i, all) => {
    const last = (all[i + 1] ?? items.length) - 1;
    const names = titles.slice(first, last + 1);
    const title =
      names.length === 1 ? shortened(names[0] ?? "", fits) : (joinedTitles(names).find(fits) ?? "");
    return { title, body: text.slice(items[first]?.start, items[last]?.end) };
  });
}

/** Names of neighbours as one, the fullest first. */
function joinedTitles(names: readonly string[]): string[] {
  const [first = "", last = ""] = [names[0], names.at(-1)];
  const start = (title: string, words: number) =>
    shortened(title, (start) => start.split(" ").length <= words);
  const ranges = [10, 3, 2, 1].map((words) => `${start(first, words)} to ${start(last, words)}`);
  return [names.join(", "), ...ranges];
}

/** Words of an item that is a name and nothing else. */
const nameWords = 3;

/** Who goes on with a long list of bare names must know which ones are in it already. */
function wordsAlone(text: string, items: readonly Item[], rules: Rules): string | undefined {
  if (items.length <= rules.branches) return undefined;
  const names = items.filter(
    ({ start, end }) => unmarked(text.slice(start, end)).split(/\s+/).length <= nameWords,
  );
  return names.length * 2 > items.length ? "a long list of bare names" : undefined;
}

const onlyCounts = /^\p{L}+ ?#?\d+$/u;

function refuse(
  text: string,
  start: number,
  branches: readonly Branch[],
  rules: Rules,
): string | undefined {
  if (branches.length < 2) return "fewer than two branches";
  if (branches.some(({ title }) => title === "")) return "no short title";
  if (!areUnique(branches.map(({ title }) => title))) return "titles are not unique";
  // A branch that is called "Button 2" can't know which button its siblings took.
  if (branches.filter(({ title }) => onlyCounts.test(title)).length > 1) return "titles only count";
  for (const { title, body } of branches) {
    const { length } = body.trim();
    if (length < rules.body || length <= title.length) return "body too short";
    if (body.trimEnd().endsWith(":")) return "a part without its content";
  }
  if ([text.slice(0, start), ...branches.map(({ body }) => body)].some(isOpen)) {
    return "inside code or a formula";
  }
  return undefined;
}

/** Whether a text ends inside a code block or a displayed formula. */
function isOpen(text: string): boolean {
  const count = (pattern: RegExp) => text.match(pattern)?.length ?? 0;
  return (
    count(/^[ \t]*(?:```|~~~)/gm) % 2 === 1 ||
    count(/\$\$/g) % 2 === 1 ||
    count(/\\\[/g) !== count(/\\\]/g)
  );
}

interface Judged {
  given: Candidate;
  verdict: Verdict;
}

function judge(text: string, prompt: string, candidates: readonly Candidate[]): Judged[] {
  const judged = candidates
    .filter(({ items }) => items.length <= mostItems)
    .map((given) => ({ given, verdict: dependenceOf(text, prompt, given) }));
  const steps = judged.filter(({ verdict }) => "reason" in verdict && isInOrder(verdict.reason));
  return judged.map(({ given, verdict }) =>
    "runs" in verdict &&
    steps.some((outer) => isInside(given, outer.given)) &&
    !saysSideBySide(leadInOf(text, given))
      ? { given, verdict: { reason: "inside a procedure" } }
      : { given, verdict },
  );
}

const isInside = (inner: Candidate, outer: Candidate): boolean =>
  outer.items.some(({ start, end }) => start < inner.start && inner.end <= end);

const leadInOf = (text: string, { whole }: Candidate): string => lastLine(text.slice(0, whole));

function dependenceOf(text: string, prompt: string, candidate: Candidate): Verdict {
  const { kind, start, ordered, items } = candidate;
  const names = namesOf(items);
  const written = items.map((item, i) => ({
    title: names[i] ?? "",
    text: text.slice(item.start, item.end),
  }));
  return holdAgainst(written, {
    prompt,
    before: text.slice(0, start),
    leadIn: leadInOf(text, candidate),
    sections: kind === "section" || kind === "lead",
    ordered,
    enumerated: kind === "enumeration",
  });
}

/** The last line of what stands before a structure says what it is. */
function lastLine(before: string): string {
  const trimmed = before.trimEnd();
  return trimmed.slice(trimmed.lastIndexOf("\n") + 1).slice(-leadInCharacters);
}

function slice(text: string, stages: readonly Stage[]): Part[] {
  const parts: Part[] = [];
  let at = 0;
  for (const { start, end, branches } of stages) {
    if (start > at) parts.push({ serial: text.slice(at, start) });
    parts.push({ parallel: branches });
    at = end;
  }
  if (at < text.length || parts.length === 0) parts.push({ serial: text.slice(at) });
  return parts;
}
