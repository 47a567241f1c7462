// Figures as text.
import type { Figures, SpeedUp } from "./figures.ts";
import type { Interval, RatioInterval } from "./intervals.ts";
import { type MeasureName, measureNames, shares } from "./judge.ts";

const labels: Readonly<Record<MeasureName, string>> = {
  seconds: "seconds",
  first_byte_seconds: "seconds to the first byte",
  steps: "decode steps",
  visible_tokens: "visible tokens",
  completion_tokens: "completion tokens",
  tokens_per_step: "visible tokens a step",
  coverage: "coverage",
  branches: "branches",
  words: "words",
  cut_off: "cut off by --max-tokens",
  repeated_sentences: "repeated sentences",
  repeated_items: "items that say the same",
  prompt_strict: "IFEval prompts, strict",
  prompt_loose: "IFEval prompts, loose",
  instruction_strict: "IFEval instructions, strict",
  instruction_loose: "IFEval instructions, loose",
  claims_found: "claims found",
  all_claims: "all claims found",
  log_likelihood: "log-likelihood a token",
};

const format = (value: number | null, name: MeasureName): string => {
  if (value === null) return "–";
  if (shares.has(name)) return `${(100 * value).toFixed(1)}%`;
  return Math.abs(value) >= 100 ? value.toFixed(0) : value.toFixed(2);
};

const withRange = (of: Interval | undefined, name: MeasureName): string =>
  of === undefined
    ? "–"
    : `${format(of.mean, name)} [${format(of.low, name)}, ${format(of.high, name)}]`;

/** A row per measure that is known: its label, both sides' means, the difference. */
export const figureRows = ({ model, against, difference }: Figures): string[][] =>
  measureNames
    .filter((name) => model[name] || against[name])
    .map((name) => [
      labels[name],
      withRange(model[name], name),
      withRange(against[name], name),
      withRange(difference[name], name),
    ]);

const times = (ratio: number | null) => (ratio === null ? "–" : `${ratio.toFixed(2)}×`);

const ratio = ({ mean, low, high, max, n }: RatioInterval): string =>
  `${times(mean)} [${times(low)}, ${times(high)}], best ${times(max)} (${n})`;

const speedUpLine = (name: string, { branched, all }: SpeedUp): string =>
  `${name}  where it branched ${ratio(branched)}; all ${ratio(all)}`;

const aligned = (rows: readonly (readonly string[])[], widths: readonly number[]): string[] =>
  rows.map((row) =>
    row
      .map((cell, i) => (i === 0 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0)))
      .join(""),
  );

/** `model` beside `against`, all pairs and each category. */
export function figuresText(
  figures: Figures,
  categories: Readonly<Record<string, Figures>>,
): string {
  const head = ["", "model", "against", "difference, 95%"];
  const lines = aligned([head, ...figureRows(figures)], [28, 26, 26, 28]);
  const rows = Object.entries(categories).map(
    ([name, { pairs, speedup, model, against, ...f }]) => [
      name === "" ? "(none)" : name,
      String(pairs),
      f.coverage === null ? "–" : `${(100 * f.coverage).toFixed(0)}%`,
      times(speedup.time.all.mean),
      times(speedup.steps.all.mean),
      format(model.words?.mean ?? null, "words"),
      format(against.words?.mean ?? null, "words"),
    ],
  );
  const columns = ["category", "pairs", "coverage", "time", "steps", "words", "against's"];
  const table = aligned([columns, ...rows], [20, 8, 10, 9, 9, 9, 11]);
  const { coverage, speedup, pairs, outline_ends, plans, numbered_lists } = figures;
  const counts = (of: Readonly<Record<string, number>>) =>
    Object.entries(of).map(([name, count]) => `${count} ${name}`);
  const { lists, in_order } = numbered_lists;
  const stages = [
    ["outlines of model's answers", counts(outline_ends)],
    ["plans", counts({ ...(plans.forked > 0 && { forked: plans.forked }), ...plans.dropped })],
    ["numbered lists of those that branched", lists > 0 ? [lists, `${in_order} in order`] : []],
  ] as const;
  const known = stages.filter(([, all]) => all.length > 0);
  return `${pairs} pairs; ${coverage === null ? "coverage unknown" : `${(100 * coverage).toFixed(1)}% of model's answers branched`}
against's over model's, per visible token:
  ${speedUpLine("time ", speedup.time)}
  ${speedUpLine("steps", speedup.steps)}
${known.map(([name, all]) => `${name}: ${all.join(", ")}\n`).join("")}
${lines.join("\n")}
${rows.length > 0 ? `\n${table.join("\n")}\n` : ""}`;
}
