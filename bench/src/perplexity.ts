// npm run bench -- perplexity: how well a model with weights of a type predicts text.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { basename, join } from "node:path";
import { locateModel, modelHelp } from "@anabranch/gpu-worker/model/locate.ts";
import { TextModel } from "@anabranch/gpu-worker/model/text-model.ts";
import { type Dtype, dtypes, openEngine } from "@anabranch/native";
import { integer, oneOf, required, UsageError } from "@anabranch/shared/cli/options.ts";
import { readRows } from "@anabranch/training/pipeline/jsonl.ts";
import { llamaPerplexity, type PeerPerplexity } from "./peer.ts";
import { columns, round, say } from "./report.ts";
import { defineSubject } from "./subject.ts";
import { scoredPerWindow, windowsOf } from "./windows.ts";

const help = `npm run bench -- perplexity --model MODEL --texts FILE [options]

Measures how well a model predicts text, with its weights in one type or several: the perplexity, which is e
to the mean negative log-probability of a token. The texts, one after another, are cut into windows of equal
length that know nothing of each other; the tokens in the second half of each count, as in
llama-perplexity.

  --model MODEL      ${modelHelp}
  --texts FILE       JSON lines with the field response or text
  --dtype LIST       of ${dtypes.join(", ")} (default auto: as many bits as the file has)
  --tokens N         tokens that count, rounded up to whole windows (default 50000)
  --window N         tokens of a window (default 512)
  --peer llama.cpp   also runs llama-perplexity of llama.cpp (LLAMA_PERPLEXITY names the program) on the same
                     text and windows
  --peer-model FILE  the .gguf file that it reads (default: --model's)
  --device DEVICE    auto, cpu or cuda:N (default auto)
  --threads N        engine threads (default: one per core)
  --json             print one JSON value to stdout
`;

interface Measured {
  dtype: string;
  backend: string;
  perplexity: number;
  /** Of the mean: one standard deviation, times the perplexity. */
  error: number;
}

/** What the command prints with --json. */
export interface PerplexityFigures {
  model: string;
  texts: string;
  window: number;
  windows: number;
  /** Tokens that count. */
  tokens: number;
  ours: Measured[];
  peer?: PeerPerplexity & { model: string };
  /** Our perplexity over the peer's. */
  over_peer?: { dtype: string; ratio: number }[];
}

export const subject = defineSubject({
  help,
  options: {
    model: { type: "string" },
    texts: { type: "string" },
    dtype: { type: "string", default: "auto" },
    tokens: { type: "string", default: "50000" },
    window: { type: "string", default: "512" },
    peer: { type: "string" },
    "peer-model": { type: "string" },
    device: { type: "string", default: "auto" },
    threads: { type: "string", default: String(availableParallelism()) },
  },
  async measure(values): Promise<PerplexityFigures> {
    const texts = required("texts", values.texts);
    const types = values.dtype.split(",").map((dtype) => oneOf("dtype", dtype, dtypes));
    const window = integer("window", values.window, 8, 1 << 20);
    const tokens = integer("tokens", values.tokens, 1);
    const threads = integer("threads", values.threads, 1, 1024);
    if (values.peer !== undefined) oneOf("peer", values.peer, ["llama.cpp"]);
    const peer = values.peer === undefined ? undefined : llamaPerplexity(threads);
    const located = await locateModel(required("model", values.model));
    const peerModel = values["peer-model"] ?? located.path;
    if (peer && !/\.gguf$/i.test(peerModel)) {
      throw new UsageError("--peer llama.cpp reads GGUF alone: give --peer-model a .gguf file");
    }
    const text = await readTexts(texts);
    const model = await TextModel.open(located);
    const count = Math.ceil(tokens / scoredPerWindow(window));
    const windows = windowsOf(model.text(text), model.text(""), window, count);
    const ours: Measured[] = [];
    for (const dtype of types) {
      ours.push(await measure(located.path, dtype, windows, threads, values.device));
    }
    const theirs = peer && runOnText(text, (file) => peer(peerModel, file, window, windows.length));
    return {
      ...{ model: basename(located.path), texts: basename(texts), window, ours },
      windows: windows.length,
      tokens: windows.length * scoredPerWindow(window),
      ...(theirs && {
        peer: { ...theirs, model: basename(peerModel) },
        over_peer: ours.map(({ dtype, perplexity }) => ({
          dtype,
          ratio: Number((perplexity / theirs.perplexity).toFixed(4)),
        })),
      }),
    };
  },
  table,
});

/** The answers of a file, with empty lines between them. */
async function readTexts(path: string): Promise<string> {
  const texts: string[] = [];
  for await (const { row, line } of readRows(path)) {
    const found = row.response ?? row.text;
    if (typeof found !== "string") {
      throw new UsageError(`${path}, line ${line}: neither response nor text`);
    }
    texts.push(found);
  }
  return texts.join("\n\n");
}

function runOnText<T>(text: string, run: (file: string) => T): T {
  const folder = mkdtempSync(join(tmpdir(), "anabranch-perplexity-"));
  try {
    const file = join(folder, "text.txt");
    writeFileSync(file, text);
    return run(file);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

async function measure(
  model: string,
  dtype: Dtype,
  windows: readonly (readonly number[])[],
  threads: number,
  device: string,
): Promise<Measured> {
  const engine = openEngine({ model, dtype, threads, device }, () => {});
  const { backend } = engine.info();
  say(`${windows.length} windows on ${backend}`);
  const losses: number[] = [];
  for (const [i, window] of windows.entries()) {
    const { runs } = await engine.score([{ serial: window }], "sum");
    const [run] = runs;
    if (!run || !("serial" in run)) throw new Error("the engine gave no scores");
    for (const logprob of run.serial.slice(-scoredPerWindow(window.length))) {
      losses.push(-(logprob ?? Number.NaN));
    }
    if ((i + 1) % 20 === 0) say(`  ${i + 1}: ${perplexityOf(losses).perplexity.toFixed(3)}`);
  }
  engine.close();
  return { dtype, backend, ...perplexityOf(losses) };
}

/** From negative log-probabilities. */
export function perplexityOf(losses: readonly number[]): { perplexity: number; error: number } {
  const n = losses.length;
  const mean = losses.reduce((sum, loss) => sum + loss, 0) / n;
  const variance = losses.reduce((sum, loss) => sum + (loss - mean) ** 2, 0) / n;
  const perplexity = Math.exp(mean);
  const error = n > 1 ? perplexity * Math.sqrt(variance / (n - 1)) : 0;
  return { perplexity: Number(perplexity.toFixed(4)), error: round(error) };
}

function table({ model, texts, tokens, window, ours, peer, over_peer }: PerplexityFigures): string {
  const heads = ["dtype", "ppl", "+/-", ...(peer ? ["x peer"] : [])];
  const rows = ours.map(({ dtype, perplexity, error }, i) => [
    ...[dtype, perplexity.toFixed(3), error.toFixed(3)],
    ...(over_peer ? [over_peer[i]?.ratio.toFixed(4) ?? ""] : []),
  ]);
  if (peer) rows.push(["peer", peer.perplexity.toFixed(3), peer.error.toFixed(3), ""]);
  const lines = [
    `${model} on ${tokens} tokens of ${texts}, in windows of ${window}`,
    ...columns([heads, ...rows]),
    ...(peer ? [`peer: ${peer.name}, ${peer.model}`] : []),
  ];
  return `${lines.join("\n")}\n`;
}
