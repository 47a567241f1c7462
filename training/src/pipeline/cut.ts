// Cuts an answer into what was written serially and what could have been written in parallel. Joining
// every `serial` and every `body` in order gives the answer back byte for byte.
import { defaultCaps } from "@anabranch/shared/dialect-caps.ts";
import type { AnswerPart, BranchPart } from "@anabranch/shared/parts.ts";
import { balancedRuns } from "./balanced-runs.ts";
import { type Candidate, findBlockCandidates, type Item } from "./candidates.ts";
import { checkDependence, type Verdict } from "./dependence.ts";
import { areUnique, namesOf } from "./item-names.ts";
import { unmarked } from "./item-text.ts";
import { isEnglish } from "./language.ts";
import { leadsOf, nameOfLead } from "./leads.ts";
import { parseBlocks } from "./markdown.ts";
import { findSentenceCandidates } from "./sentences.ts";
import { appliesToNestedLists, asksForNarrative, saysSideBySide } from "./sequence.ts";
import { selectSpans } from "./span-selection.ts";
import { type Count, estimate, type StageCost, stageCost } from "./stage-cost.ts";
import { shortened, titlesOf } from "./titles.ts";

/** What a stage must satisfy. */
export interface Rules {
  count: Count;
  /** Neighbouring items are merged if there are more. */
  maxBranches: number;
  /** Of one answer. */
  maxStages: number;
  maxTitleTokens: number;
  maxTitleWords: number;
  /** A body must also be longer than its title. */
  minBodyCharacters: number;
  /** Shorter answers stay serial. */
  minAnswerTokens: number;
  /** Decode steps that a stage must save. */
  minGain: number;
  /** `hidden`: short names of the parts. `leads`: the parts' own visible beginnings. */
  titles: "hidden" | "leads";
}

export const defaultRules: Rules = {
  count: estimate,
  maxBranches: defaultCaps.branches,
  maxStages: defaultCaps.stages,
  maxTitleTokens: defaultCaps.title_tokens,
  maxTitleWords: 10,
  minBodyCharacters: 10,
  minAnswerTokens: 0,
  minGain: 12,
  titles: "hidden",
};

/** Of the dialect "lead" (shared/dialects). */
export const maxLeadTokens = 24;

/** Ordinary answers of fewer tokens stay serial, as in the paper. */
export const defaultMinAnswerTokens = 128;

const leadInCharacters = 240;
/** Longer lists are data, and comparing all their items with each other takes too long. */
const maxItems = 200;

/** A candidate as the stage it would be. */
export interface Proposal {
  kind: Candidate["kind"];
  start: number;
  end: number;
  branches: BranchPart[];
  /** Undefined if something else rules the stage out. */
  cost: StageCost | undefined;
  /** Why its form rules it out, if it does. */
  form: string | undefined;
  /** Why its branches depend on each other, if they do. */
  dependence: string | undefined;
}

/** A proposal that was selected. */
export interface Stage extends Proposal {
  cost: StageCost;
}

export const reasonOf = ({ form, dependence }: Proposal): string | undefined => form ?? dependence;

export interface Cut {
  parts: AnswerPart[];
  stages: Stage[];
  /** Why candidates were kept serial. */
  rejections: { kind: Candidate["kind"]; reason: string }[];
}

/** Cuts one answer by its own structure. Never fails: text that can't be cut stays serial. */
export function cut(text: string, prompt = "", rules: Partial<Rules> = {}): Cut {
  const all = { ...defaultRules, ...rules };
  return cutProposals(text, propose(text, prompt, findCandidates(text, prompt), all), all);
}

/** Finds every candidate in the text's own structure. */
export function findCandidates(text: string, prompt: string): Candidate[] {
  const blocks = parseBlocks(text);
  return [
    ...findBlockCandidates(blocks, text, prompt),
    ...findSentenceCandidates(blocks, text, prompt),
  ];
}

/** Why a whole answer stays serial, if it does. */
function reasonToStaySerial(text: string, prompt: string, rules: Rules): string | undefined {
  if (/<\|\/?(title|para|branch)\|>/.test(text)) return "holds a marker's text";
  if (rules.minAnswerTokens > 0 && rules.count(text) < rules.minAnswerTokens)
    return "a short answer";
  if (asksForNarrative(prompt)) return "a story, poem, letter or dialogue";
  return undefined;
}

/** Checks every candidate against the rules. */
export function propose(
  text: string,
  prompt: string,
  candidates: readonly Candidate[],
  rules: Rules,
): Proposal[] {
  const serial = candidates.length > 0 ? reasonToStaySerial(text, prompt, rules) : undefined;
  return checkCandidates(text, prompt, candidates).flatMap(({ candidate, verdict }) => {
    const dependence = "reason" in verdict ? verdict.reason : undefined;
    const runs = "reason" in verdict ? [{ from: 0, to: candidate.items.length }] : verdict.runs;
    return runs.map(({ from, to }) => {
      const items = candidate.items.slice(from, to);
      const branches = branchesOf(text, items, rules);
      const start = items[0]?.start ?? candidate.start;
      const end = items.at(-1)?.end ?? candidate.end;
      let form =
        serial ?? refuseBareNames(text, items, rules) ?? refuseForm(text, start, branches, rules);
      // Counting tokens is slow, so only candidates that pass everything else are counted.
      const counted = form === undefined && dependence === undefined;
      const cost = counted ? stageCost(branches, rules.count, rules.titles) : undefined;
      if (cost && cost.plain - cost.steps < rules.minGain) form = "saves no steps";
      return { kind: candidate.kind, start, end, branches, cost, form, dependence };
    });
  });
}

/** Selects the stages that save most among the proposals that passed, and cuts the text there. */
export function cutProposals(text: string, proposals: readonly Proposal[], rules: Rules): Cut {
  const possible = proposals.filter(
    (proposal): proposal is Stage =>
      reasonOf(proposal) === undefined && proposal.cost !== undefined,
  );
  // With a negative minimum gain, stages that lose steps must still have a positive worth.
  const allowed = Math.max(0, 1 - rules.minGain);
  const stages = selectSpans(
    possible,
    ({ cost }) => cost.plain - cost.steps + allowed,
    text,
    rules.maxStages,
  );
  const rejections = proposals
    .filter((proposal) => !stages.some((stage) => stage === proposal))
    .map((proposal) => ({
      kind: proposal.kind,
      reason: reasonOf(proposal) ?? "another structure saves more",
    }));
  return { parts: slice(text, stages), stages, rejections };
}

/** Items as branches, merged if there are too many. A title is "" if there is no short one. */
function branchesOf(text: string, items: readonly Item[], rules: Rules): BranchPart[] {
  if (rules.titles === "leads") return branchesWithLeads(text, items, rules);
  const fits = (title: string) =>
    title.split(" ").length <= rules.maxTitleWords && rules.count(title) <= rules.maxTitleTokens;
  const titles = titlesOf(items);
  const sizes = items.map(({ start, end }) => end - start);
  const starts =
    items.length <= rules.maxBranches ? sizes.keys() : balancedRuns(sizes, rules.maxBranches);
  return Array.from(starts).map((first, i, all) => {
    const last = (all[i + 1] ?? items.length) - 1;
    const names = titles.slice(first, last + 1);
    const title =
      names.length === 1 ? shortened(names[0] ?? "", fits) : (joinedTitles(names).find(fits) ?? "");
    return { title, body: text.slice(items[first]?.start, items[last]?.end) };
  });
}

/** A lead that is too long, or that stands for too many items, is "". */
function branchesWithLeads(text: string, items: readonly Item[], rules: Rules): BranchPart[] {
  const bodies = items.map(({ end }, i) => text.slice(items[i]?.start, items[i + 1]?.start ?? end));
  const fits = (lead: string) =>
    items.length <= rules.maxBranches && rules.count(lead) <= rules.maxTitleTokens;
  return leadsOf(bodies).map((lead, i) => ({
    title: fits(lead) ? lead : "",
    body: bodies[i] ?? "",
  }));
}

/** Titles for a branch of merged neighbours, the fullest first. */
function joinedTitles(names: readonly string[]): string[] {
  const [first = "", last = ""] = [names[0], names.at(-1)];
  const start = (title: string, words: number) =>
    shortened(title, (start) => start.split(" ").length <= words);
  const ranges = [10, 3, 2, 1].map((words) => `${start(first, words)} to ${start(last, words)}`);
  return [names.join(", "), ...ranges];
}

/** An item of at most so many words is a bare name. */
const maxNameWords = 3;

/** To continue a long list of bare names, a writer must know which names it already holds. */
function refuseBareNames(text: string, items: readonly Item[], rules: Rules): string | undefined {
  if (items.length <= rules.maxBranches) return undefined;
  const names = items.filter(
    ({ start, end }) => unmarked(text.slice(start, end)).split(/\s+/).length <= maxNameWords,
  );
  return names.length * 2 > items.length ? "a long list of bare names" : undefined;
}

const onlyCounts = /^\p{L}+ ?#?\d+$/u;

function refuseForm(
  text: string,
  start: number,
  branches: readonly BranchPart[],
  rules: Rules,
): string | undefined {
  if (branches.length < 2) return "fewer than two branches";
  if (branches.some(({ title }) => title === "")) return "no short title";
  const names = branches.map(({ title }) => (rules.titles === "leads" ? nameOfLead(title) : title));
  if (!areUnique(names)) return "titles are not unique";
  // A branch with the title "Button 2" can't know which button its siblings describe.
  if (branches.filter(({ title }) => onlyCounts.test(title)).length > 1) return "titles only count";
  for (const { title, body } of branches) {
    // A lead is part of its body.
    const beside = rules.titles === "leads" ? title.length : 0;
    const length = body.trim().length - beside;
    if (length < rules.minBodyCharacters || length <= title.length - beside) {
      return "body too short";
    }
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

interface CheckedCandidate {
  candidate: Candidate;
  verdict: Verdict;
}

function checkCandidates(
  text: string,
  prompt: string,
  candidates: readonly Candidate[],
): CheckedCandidate[] {
  const checked = candidates
    .filter(({ items }) => items.length <= maxItems)
    .map((candidate) => ({ candidate, verdict: dependenceOf(text, prompt, candidate) }));
  const procedures = checked.filter(
    ({ verdict }) => "reason" in verdict && appliesToNestedLists(verdict.reason),
  );
  return checked.map(({ candidate, verdict }) =>
    "runs" in verdict &&
    procedures.some((outer) => isInside(candidate, outer.candidate)) &&
    !saysSideBySide(leadInOf(text, candidate))
      ? { candidate, verdict: { reason: "inside a procedure" } }
      : { candidate, verdict },
  );
}

const isInside = (inner: Candidate, outer: Candidate): boolean =>
  outer.items.some(({ start, end }) => start < inner.start && inner.end <= end);

const leadInOf = (text: string, { structureStart }: Candidate): string =>
  lastLine(text.slice(0, structureStart));

function dependenceOf(text: string, prompt: string, candidate: Candidate): Verdict {
  const { kind, start, ordered, items } = candidate;
  const names = namesOf(items);
  const texts = items.map((item, i) => ({
    title: names[i] ?? "",
    text: text.slice(item.start, item.end),
  }));
  return checkDependence(texts, {
    prompt,
    before: text.slice(0, start),
    leadIn: leadInOf(text, candidate),
    sections: kind === "section" || kind === "lead",
    ordered,
    enumerated: kind === "enumeration",
    english: isEnglish(text.slice(start, candidate.end), `${prompt}\n${text}`),
  });
}

/** The line before a structure, which says what it is. */
function lastLine(before: string): string {
  const trimmed = before.trimEnd();
  return trimmed.slice(trimmed.lastIndexOf("\n") + 1).slice(-leadInCharacters);
}

function slice(text: string, stages: readonly Stage[]): AnswerPart[] {
  const parts: AnswerPart[] = [];
  let at = 0;
  for (const { start, end, branches } of stages) {
    if (start > at) parts.push({ serial: text.slice(at, start) });
    parts.push({ parallel: branches });
    at = end;
  }
  if (at < text.length || parts.length === 0) parts.push({ serial: text.slice(at) });
  return parts;
}
