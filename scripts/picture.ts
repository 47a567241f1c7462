// npm run picture: the picture of the README, of the real thing. It asks the demo a question twice, serially and in
// branches, and draws the answer as it came: every piece of text appears when it did.
import { writeFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { LaneAnswer, type LaneChunk } from "@anabranch/client";
import { openTestCluster } from "@anabranch/gateway/local/test-cluster.ts";
import { readCommandLine } from "@anabranch/shared/cli/command.ts";
import OpenAI from "openai";

const root = join(import.meta.dirname, "..");
const help = `npm run picture [-- options]

Starts the gateway and the demo, asks a question serially and in branches, one after the other, and draws the second
answer as an animated SVG: each piece of text where and when it came, above the times of both.

  --prompt TEXT   the question
  --tokens N      the longest answer (default 400)
  --threads N     engine threads (default 2)
  --out FILE      (default docs/branching.svg)
`;

const { values } = readCommandLine({
  name: "picture",
  help,
  options: {
    prompt: { type: "string", default: "What are the benefits of learning a second language?" },
    tokens: { type: "string", default: "400" },
    threads: { type: "string", default: "2" },
    out: { type: "string", default: "docs/branching.svg" },
  },
});

/** A piece of text: when it came, ms since the question, and the lane that wrote it; 0 is the trunk. */
interface Piece {
  atMs: number;
  lane: number;
  text: string;
}

interface Asked {
  pieces: Piece[];
  answer: LaneAnswer;
  endMs: number;
}

async function ask(client: OpenAI, model: string, mode: "serial" | "parallel"): Promise<Asked> {
  const answer = new LaneAnswer();
  const pieces: Piece[] = [];
  const began = performance.now();
  const stream = await client.chat.completions.create({
    ...{ model, stream: true, temperature: 0, max_tokens: Number(values.tokens) },
    messages: [{ role: "user", content: values.prompt }],
    ...({ anabranch: { mode, stream: "lanes", cache: "bypass" } } as object),
  });
  for await (const chunk of stream) {
    for (const change of answer.push(chunk as LaneChunk)) {
      if (change.kind !== "text") continue;
      const { run, text } = change;
      pieces.push({ atMs: performance.now() - began, lane: run.lane, text });
    }
  }
  return { pieces, answer, endMs: performance.now() - began };
}

const width = 960;
const margin = 24;
const charWidth = 6.65; // of an 11 px monospaced font
const lineHeight = 15;
const gap = 14;
const inner = width - 2 * margin;

/** A column of text that fills from its top. */
class Column {
  readonly #x: number;
  readonly #chars: number;
  readonly #top: number;
  #line = 0;
  #at = 0;

  constructor(x: number, columnWidth: number, top: number) {
    this.#x = x;
    this.#chars = Math.max(8, Math.floor(columnWidth / charWidth));
    this.#top = top;
  }

  get bottom(): number {
    return this.#top + (this.#line + (this.#at > 0 ? 1 : 0)) * lineHeight;
  }

  /** Where the text goes, word by word. */
  write(text: string): { x: number; y: number; word: string }[] {
    const placed: { x: number; y: number; word: string }[] = [];
    for (const word of text.replaceAll("**", "").match(/\n|[^\S\n]+|\S+/g) ?? []) {
      if (word === "\n") {
        if (this.#at > 0) this.#break();
        continue;
      }
      const isSpace = word.trim() === "";
      if (isSpace && this.#at === 0) continue;
      if (!isSpace && this.#at + word.length > this.#chars && this.#at > 0) this.#break();
      if (!isSpace) {
        const x = this.#x + this.#at * charWidth;
        placed.push({ x, y: this.#top + (this.#line + 0.75) * lineHeight, word });
      }
      this.#at += isSpace ? 1 : word.length;
    }
    return placed;
  }

  #break(): void {
    this.#line++;
    this.#at = 0;
  }
}

const escaped = (text: string) =>
  text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");

function draw(serial: Asked, parallel: Asked): string {
  const [stage] = parallel.answer.stages;
  if (!stage) throw new Error("the answer has no branches: ask another question");
  const lanes = stage.branches.map(({ lane }) => lane);
  const holdMs = 2_500;
  const totalMs = Math.max(serial.endMs, parallel.endMs) + holdMs;
  const appears = (atMs: number) => {
    const at = (atMs / totalMs).toFixed(4);
    return `<animate attributeName="opacity" values="0;0;1;1" keyTimes="0;${at};${at};1" dur="${(totalMs / 1_000).toFixed(2)}s" repeatCount="indefinite"/>`;
  };
  const texts: string[] = [];
  const write = (column: Column, { atMs, text }: Piece, kind: string) => {
    for (const { x, y, word } of column.write(text)) {
      texts.push(
        `<text class="${kind}" x="${x.toFixed(1)}" y="${y.toFixed(1)}">${escaped(word)}${appears(atMs)}</text>`,
      );
    }
  };
  const first = parallel.pieces.findIndex(({ lane }) => lanes.includes(lane));
  const isTrunk = ({ lane }: Piece) => !lanes.includes(lane);
  const before = parallel.pieces.slice(0, first).filter(isTrunk);
  const after = parallel.pieces.slice(first).filter(isTrunk);

  const questionY = 34;
  const trunk = new Column(margin, inner, 52);
  for (const piece of before) write(trunk, piece, "trunk");
  const forkTop = trunk.bottom + 6;
  const columnsTop = forkTop + 34;
  const columnWidth = (inner - gap * (lanes.length - 1)) / lanes.length;
  const left = (index: number) => margin + index * (columnWidth + gap);
  const columns = lanes.map((_, index) => new Column(left(index), columnWidth, columnsTop));
  for (const piece of parallel.pieces) {
    const column = columns[lanes.indexOf(piece.lane)];
    if (column) write(column, piece, "branch");
  }
  const columnsBottom = Math.max(...columns.map(({ bottom }) => bottom));
  const joinBottom = columnsBottom + 40;
  const rest = new Column(margin, inner, joinBottom + 2);
  for (const piece of after) write(rest, piece, "trunk");

  const middle = width / 2;
  const rivers = columns.flatMap((_, index) => {
    const x = left(index) + columnWidth / 2;
    return [
      `<path d="M${middle} ${forkTop} C${middle} ${forkTop + 22} ${x} ${forkTop + 8} ${x} ${columnsTop - 4}"/>`,
      `<path d="M${x} ${columnsBottom + 8} C${x} ${columnsBottom + 30} ${middle} ${columnsBottom + 16} ${middle} ${joinBottom}"/>`,
    ];
  });
  const barsTop = rest.bottom + 18;
  const longest = Math.max(serial.endMs, parallel.endMs);
  const bar = (label: string, y: number, { endMs, answer }: Asked, kind: string) => {
    const whole = (inner - 290) * (endMs / longest);
    const said = `${(endMs / 1_000).toFixed(1)} s, ${answer.text.length} characters`;
    const end = (endMs / totalMs).toFixed(4);
    return `<text class="label" x="${margin}" y="${y + 10}">${label}</text>
<rect class="${kind}" x="${margin + 90}" y="${y}" width="${whole.toFixed(1)}" height="12" rx="3"><animate attributeName="width" values="0;${whole.toFixed(1)};${whole.toFixed(1)}" keyTimes="0;${end};1" dur="${(totalMs / 1_000).toFixed(2)}s" repeatCount="indefinite"/></rect>
<text class="label" x="${(margin + 98 + whole).toFixed(1)}" y="${y + 10}">${said}${appears(endMs)}</text>`;
  };
  const height = Math.ceil(barsTop + 62);
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" role="img" aria-labelledby="t">
<title id="t">An answer as it was written: the trunk, ${lanes.length} branches that grow at the same time, the join. ${(parallel.endMs / 1_000).toFixed(1)} s, beside ${(serial.endMs / 1_000).toFixed(1)} s in serial mode.</title>
<style>
svg { font: 11px ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; }
.ground { fill: #fbfaf7; stroke: #dedad0; }
.question { font-weight: 700; font-size: 12px; fill: #1d2a2c; }
.trunk { fill: #1d2a2c; }
.branch { fill: #0b5c66; }
.label { fill: #55605f; }
path { fill: none; stroke: #7fb3b5; stroke-width: 2; opacity: .7; }
.fast { fill: #0f7f8a; }
.slow { fill: #b9b4a6; }
</style>
<rect class="ground" x=".5" y=".5" width="${width - 1}" height="${height - 1}" rx="8"/>
<text class="question" x="${margin}" y="${questionY}">${escaped(values.prompt)}</text>
${rivers.join("\n")}
${texts.join("\n")}
${bar("branches", barsTop, parallel, "fast")}
${bar("serial", barsTop + 22, serial, "slow")}
</svg>
`;
}

const demo = JSON.parse(await readFile(join(root, "models/demo/demo.json"), "utf8"));
const model = `${demo.id}:${demo.adapterName}`;
const cluster = await openTestCluster();
try {
  await cluster.addWorker("picture", [
    ...["--model", demo.model, "--model-id", demo.id, "--threads", values.threads],
    ...["--adapter", `${demo.adapterName}=${demo.adapter}`],
  ]);
  const client = new OpenAI({ baseURL: `${cluster.url}/v1`, apiKey: await cluster.key("picture") });
  // The first answers of a process are slower than all others.
  for (const mode of ["serial", "parallel"] as const) await ask(client, model, mode);
  const serial = await ask(client, model, "serial");
  const parallel = await ask(client, model, "parallel");
  writeFileSync(join(root, values.out), draw(serial, parallel));
  const rate = ({ pieces, endMs }: Asked) =>
    (pieces.map(({ text }) => text).join("").length / endMs) * 1_000;
  process.stdout.write(
    `${values.out}: ${parallel.answer.stages[0]?.branches.length} branches, ${(parallel.endMs / 1_000).toFixed(1)} s; serial ${(serial.endMs / 1_000).toFixed(1)} s; characters a second ${rate(parallel).toFixed(0)} and ${rate(serial).toFixed(0)}\n`,
  );
} finally {
  await cluster.close();
}
