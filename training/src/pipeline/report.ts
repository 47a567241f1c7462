// The figures of an extraction as one self-contained HTML page.
import { type Bar, barChart, columnChart } from "./charts.ts";
import type { Agreement } from "./likelihood.ts";
import type { Figures, Summary } from "./statistics.ts";

/** Figures published for ASPD (arXiv:2508.08895), for comparison. */
const published =
  "PPD 44%, ABN 2.7 to 4.2, speed-up in wall-clock 1.85 on average and 3.19 at best";

const shownCategories = 25;

const html = (text: string) => text.replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`);
const percent = (value: number | null) => (value === null ? "–" : `${(100 * value).toFixed(1)}%`);
const times = (value: number | null) => (value === null ? "–" : `${value.toFixed(2)}×`);

export interface ReportData extends Summary {
  in: string;
  likelihood?: Agreement;
}

export function reportPage(result: ReportData): string {
  const categories = Object.entries(result.categories)
    .sort(([, a], [, b]) => b.answers - a.answers)
    .slice(0, shownCategories);
  const left = Object.keys(result.categories).length - categories.length;
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Parallel parts of ${html(result.in)}</title>
<style>
  body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #222 }
  table { border-collapse: collapse } td, th { padding: 0.2rem 0.8rem; text-align: right; border-bottom: 1px solid #ddd }
  td:first-child, th:first-child { text-align: left } svg { max-width: 100%; height: auto }
</style>
<h1>Parallel parts of ${html(result.in)}</h1>
<p>${result.answers} answers, ${result.parallel} of them with parallel stages; ${result.stages} stages with ${result.branches} branches.
Answers that don't come back byte for byte: ${result.roundTripFailures}.
ASPD's published figures: ${published}.</p>
${figuresTable([["all", result], ...categories])}
${left > 0 ? `<p>${left} smaller categories are in the JSON alone.</p>` : ""}
<h2>Expected speed-up in steps of parallel answers</h2>
${columnChart(
  result.histogram.map(([from, number]) => ({ label: from.toFixed(1), value: number })),
  "speed-up, from",
  "answers",
)}
<h2>Mean speed-up of parallel answers by category</h2>
${barChart(
  "Mean speed-up of parallel answers by category",
  categories
    .filter(([, { parallel }]) => parallel > 0)
    .map(([label, { speedUp }]) => bar(label, speedUp.parallel.mean ?? 0, times)),
)}
<h2>Stages by structure</h2>
${barChart("Stages by structure", countBars(result.kinds))}
<h2>Why candidates stayed serial</h2>
${barChart("Why candidates stayed serial", countBars(result.rejections))}
${result.likelihood ? agreementSection(result.likelihood) : ""}
</html>
`;
}

const bar = (label: string, value: number, show: (value: number) => string): Bar => ({
  label,
  value,
  shown: show(value),
});

const countBars = (counts: Record<string, number>): Bar[] =>
  Object.entries(counts).map(([label, n]) => bar(label, n, String));

function figuresTable(rows: readonly (readonly [string, Figures])[]): string {
  const body = rows.map(
    ([name, f]) => `<tr><td>${html(name)}</td><td>${f.answers}</td><td>${percent(f.ppd)}</td>
<td>${percent(f.dp)}</td><td>${f.abn === null ? "–" : f.abn.toFixed(2)}</td><td>${percent(f.efficiency)}</td>
<td>${times(f.speedUp.all.mean)}</td><td>${times(f.speedUp.parallel.mean)}</td><td>${times(f.speedUp.parallel.max)}</td></tr>`,
  );
  return `<table>
<tr><th></th><th>answers</th><th>PPD</th><th>DP</th><th>ABN</th><th>efficiency</th>
<th>speed-up, all</th><th>parallel</th><th>most</th></tr>
${body.join("\n")}
</table>`;
}

function agreementSection(agreement: Agreement): string {
  const rows = agreement.disagreements.map(
    ({ id, model, titles, lexical, drop }) =>
      `<tr><td>${html(`${id} ${model}`)}</td><td>${html(titles.join("; "))}</td>
<td>${html(lexical ?? "independent")}</td><td>${drop.toFixed(3)}</td></tr>`,
  );
  return `<h2>Words and likelihood</h2>
<p>Of ${agreement.judged} stages both call ${agreement.bothIndependent} independent and ${agreement.bothDependent} dependent;
${agreement.onlyLexical} are dependent by words alone, ${agreement.onlyLikelihood} by likelihood alone
(a branch loses more than ${agreement.threshold} nats a token).</p>
<table><tr><th>answer</th><th>titles</th><th>by words</th><th>loss, nats a token</th></tr>
${rows.join("\n")}
</table>`;
}
