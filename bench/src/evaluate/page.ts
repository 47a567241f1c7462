// Pairs of answers as one HTML page, to read side by side.
import { Random } from "@anabranch/training/random.ts";
import type { Figures } from "./figures.ts";
import { type Pair, type Side, sides } from "./pairs.ts";
import { figureRows } from "./table.ts";
import type { Worst } from "./worst.ts";

/** Of each pair, by its question's id, which side stands left. */
export type Key = Record<string, Side>;

/** Sides in random order, so that a reader does not know which is which. */
export function blindKey(pairs: readonly Pair[], seed: number): Key {
  const random = new Random(seed);
  return Object.fromEntries(pairs.map(({ question }) => [question.id, random.pick(sides)]));
}

const entities: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
};
const escaped = (text: string): string => text.replace(/[&<>"]/g, (sign) => entities[sign] ?? sign);

const style = `
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 90rem; margin: 0 auto; padding: 1rem; }
h2 { font-size: 1.1rem; border-top: 1px solid #8888; padding-top: 1rem; }
.prompt, .answer { white-space: pre-wrap; overflow-wrap: anywhere; }
.prompt { background: #8882; padding: .6rem; border-radius: .4rem; }
.pair { display: grid; grid-template-columns: 1fr 1fr; gap: 1.5rem; }
.pair h3 { font-size: .9rem; margin: .6rem 0; }
.note { color: #888; font-weight: normal; }
table { border-collapse: collapse; }
td, th { padding: .1rem .8rem; text-align: right; }
td:first-child, th:first-child { text-align: left; }
@media (max-width: 50rem) { .pair { grid-template-columns: 1fr; } }
`;

/** What is shown of an answer beside its text, if the reader may know whose it is. */
function note({ answers }: Pair, side: Side): string {
  const { ms, steps, visibleTokens, branches } = answers[side];
  const known = [
    ...(visibleTokens === undefined ? [] : [`${visibleTokens} tokens`]),
    ...(steps === undefined ? [] : [`${steps} steps`]),
    ...(branches ? [`${branches} branches`] : []),
    ...(ms === undefined ? [] : [`${(ms / 1000).toFixed(1)} s`]),
  ];
  return ` <span class="note">${known.join(", ")}</span>`;
}

function section(pair: Pair, left: Side, names: Record<Side, string> | undefined): string {
  const { question, answers } = pair;
  const order: Side[] = left === "model" ? ["model", "against"] : ["against", "model"];
  const column = (side: Side, i: number) =>
    `<div><h3>${names ? escaped(names[side]) + note(pair, side) : "AB"[i]}</h3>
<div class="answer">${escaped(answers[side].text)}</div></div>`;
  return `<section id="${escaped(question.id)}">
<h2>${escaped(question.id)} <span class="note">${escaped(question.category)}</span></h2>
<div class="prompt">${escaped(question.prompt)}</div>
<div class="pair">${order.map(column).join("\n")}</div>
</section>`;
}

function figuresTable(figures: Figures, names: Record<Side, string>): string {
  const rows = figureRows(figures).map(
    (cells) => `<tr>${cells.map((cell) => `<td>${escaped(cell)}</td>`).join("")}</tr>`,
  );
  const head = ["", names.model, names.against, "difference, 95%"];
  return `<table><tr>${head.map((cell) => `<th>${escaped(cell)}</th>`).join("")}</tr>
${rows.join("\n")}</table>`;
}

function worstList(worst: readonly Worst[]): string {
  if (worst.length === 0) return "";
  const items = worst.map(({ pair: { question }, reasons }) => {
    const id = escaped(question.id);
    return `<li><a href="#${id}">${id}</a> ${escaped(reasons.join("; "))}</li>`;
  });
  return `
<h2>Answers that branched and are worse</h2>
<ol>${items.join("\n")}</ol>`;
}

export interface PageOptions {
  names: Record<Side, string>;
  figures: Figures;
  /** Of `model`, beside `against`. */
  worst: readonly Worst[];
  /** Hides whose answer is whose, and all that would tell. */
  key: Key | undefined;
}

/** A page without scripts and without other files. */
export function pageOf(
  pairs: readonly Pair[],
  { names, figures, worst, key }: PageOptions,
): string {
  const title = key ? "Pairs of answers" : `${names.model} beside ${names.against}`;
  const sections = pairs.map((pair) =>
    section(pair, key?.[pair.question.id] ?? "model", key ? undefined : names),
  );
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>${escaped(title)}</title><style>${style}</style></head>
<body><h1>${escaped(title)}</h1>
${key ? "" : figuresTable(figures, names) + worstList(worst)}
${sections.join("\n")}
</body></html>
`;
}
