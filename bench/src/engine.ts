// npm run bench -- engine: how fast the engine decodes several lanes over one prefix, and prefills.
import { availableParallelism, cpus } from "node:os";
import { parseArgs } from "node:util";
import {
  codePaths,
  dtypeOf,
  dtypes,
  type Engine,
  type EngineLoad,
  openEngine,
  readBandwidth,
} from "@anabranch/native";
import { whole } from "./arguments.ts";
import { ggufFile } from "./gguf.ts";
import { llamaCpp, type PeerRun } from "./peer.ts";
import { median } from "./quantiles.ts";
import { shapeFolder, shapes } from "./shapes.ts";

const help = `npm run bench -- engine [options]

Random weights in a known model's shape; a prefix is prefilled, forked into lanes, and each lane is
decoded for some tokens by script, through the engine as it serves. Loading and prefill are not part
of the decoding figures. tokens_s counts all lanes together; gb_s is the weights and the KV that a
step must read at least once, over its time; bandwidth_gb_s is what the same threads reach reading
before each run. Ratios are medians of the runs' own.

  --shape NAME      ${Object.keys(shapes).join(", ")}
                    (default qwen2.5-0.5b)
  --dtype TYPE      ${dtypes.join(", ")} (default bf16); for int8 also tells how far the logits
                    of 64 tokens are from those of bf16 and fp32 weights
  --lanes LIST      lanes decoded together (default 1,2,4,8,16)
  --prefix N        tokens of common prefix (default 512)
  --tokens N        tokens decoded in each lane (default 32)
  --repeat N        runs, of which the median counts (default 3)
  --peer llama.cpp  its llama-batched-bench (named by LLAMA_BATCHED_BENCH) on the same weights (q8_0
                    beside int8), in turn with each of our runs
  --device DEVICE   auto, cpu or cuda:N (default auto: a GPU where one answers)
  --threads N       threads of the engine (default: one a core)
  --code-path NAME  ${codePaths().join(", ")} (default: the first)
  --json            one JSON value on stdout
`;

interface Decoded {
  lanes: number;
  tokens_s: number;
  step_ms: number;
  gb_s: number;
}

/** What the command prints with --json. */
export interface EngineFigures {
  machine: { cpu: string; cores: number; threads: number };
  model: { shape: string; dtype: string; backend: string; weight_bytes: number };
  prefix: number;
  tokens: number;
  repeat: number;
  bandwidth_gb_s: number;
  ours: Decoded[];
  prefill: { ours_tokens_s: number };
  /** Normalised mean squared error of int8's logits. */
  nmse_vs_bf16?: number;
  nmse_vs_fp32?: number;
  peer?: {
    name: string;
    build: string;
    weights: string;
    decoded: { lanes: number; tokens_s: number }[];
    prefill_tokens_s: number;
  };
  ratio: {
    /** GB/s of one lane over the read bandwidth just before. */
    bandwidth_one_lane?: number;
    /** Tokens/s over those of one lane. */
    over_one_lane?: { lanes: number; ratio: number }[];
    /** Ours over the peer's of the same turn, the median of all turns. */
    over_peer?: { lanes: number; ratio: number }[];
    prefill_over_peer?: number;
  };
}

const say = (line: string) => process.stderr.write(`${line}\n`);

export async function benchEngine(argv: string[]): Promise<void> {
  const { values } = parseArgs({
    args: argv,
    options: {
      shape: { type: "string", default: "qwen2.5-0.5b" },
      dtype: { type: "string", default: "bf16" },
      lanes: { type: "string", default: "1,2,4,8,16" },
      prefix: { type: "string", default: "512" },
      tokens: { type: "string", default: "32" },
      repeat: { type: "string", default: "3" },
      peer: { type: "string" },
      threads: { type: "string", default: String(availableParallelism()) },
      device: { type: "string", default: "auto" },
      "code-path": { type: "string", default: "" },
      json: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) {
    process.stdout.write(help);
    return;
  }
  const shape = Object.hasOwn(shapes, values.shape) ? shapes[values.shape] : undefined;
  if (!shape)
    throw new Error(`unknown shape ${values.shape}; known: ${Object.keys(shapes).join(", ")}`);
  const dtype = dtypeOf(values.dtype);
  if (!dtype) throw new Error(`--dtype is one of ${dtypes.join(", ")}`);
  const lanes = values.lanes.split(",").map((text) => whole("lanes", text, 1, 256));
  const prefix = whole("prefix", values.prefix, 1, shape.max_position_embeddings);
  const tokens = whole("tokens", values.tokens, 1, shape.max_position_embeddings);
  const repeat = whole("repeat", values.repeat, 1, 1000);
  const threads = whole("threads", values.threads, 1, 1024);

  const comparable = dtype === "bf16" || dtype === "int8";
  if (values.peer !== undefined && (values.peer !== "llama.cpp" || !comparable))
    throw new Error("--peer is llama.cpp, beside bf16 or int8");
  const peer = values.peer ? llamaCpp(threads) : undefined;

  const folder = shapeFolder(values.shape, shape, say);
  // K and V of one token in every layer, in bytes.
  const kvToken =
    2 *
    shape.num_hidden_layers *
    shape.num_key_value_heads *
    shape.head_dim *
    (dtype === "fp32" ? 4 : 2);
  const mostTokens = prefix + Math.max(...lanes) * (tokens + 32) + 256;
  say(`loading ${folder} in ${dtype}`);
  const run = new ScriptedEngine({
    model: folder,
    dtype,
    device: values.device,
    threads,
    kvMib: Math.ceil((mostTokens * kvToken) / 2 ** 20) + 1,
    ...(values["code-path"] ? { codePath: values["code-path"] } : {}),
  });
  const info = run.engine.info();
  say(`decoding on ${info.backend}`);

  const prompt = Array.from({ length: prefix }, (_, i) => (i * 7919 + 13) % shape.vocab_size);
  const peerWeights = dtype === "int8" ? "q8_0" : "bf16";
  const peerModel = peer ? ggufFile(folder, shape, peerWeights, say) : "";
  const bytesOf = (count: number) => info.weightBytes + (prefix + (count * tokens) / 2) * kvToken;
  interface Turn {
    bandwidth: number;
    steps: Map<number, number>;
    prefill: number;
    peer?: PeerRun;
  }
  const turns: Turn[] = [];
  for (let i = 0; i < repeat; i++) {
    const bandwidth = readBandwidth(threads, 1024, 3);
    const steps = new Map<number, number>();
    const prefillRates: number[] = [];
    for (const count of lanes) {
      const spent = await run.decode(prompt, count, tokens);
      if (spent.decodeSteps !== tokens)
        throw new Error("the engine took other steps than asked for");
      steps.set(count, spent.decodeSeconds / spent.decodeSteps);
      prefillRates.push(prefix / spent.prefillSeconds);
    }
    const turn = { bandwidth, steps, prefill: median(prefillRates) };
    turns.push(peer ? { ...turn, peer: peer.run(peerModel, lanes, prefix, tokens) } : turn);
    say(`  turn ${i + 1} of ${repeat} done`);
  }
  const over = (pick: (turn: Turn) => number | undefined) =>
    median(turns.map((turn) => pick(turn) ?? Number.NaN));
  const stepOf = (turn: Turn, count: number) => turn.steps.get(count) ?? Number.NaN;
  const ours: Decoded[] = lanes.map((count) => {
    const step = over((turn) => stepOf(turn, count));
    return {
      lanes: count,
      tokens_s: round(count / step),
      step_ms: round(step * 1e3),
      gb_s: round(bytesOf(count) / step / 1e9),
    };
  });
  run.engine.close();
  const nmse =
    dtype === "int8" ? await distance(folder, threads, prompt.slice(0, 64), say) : undefined;

  const figures: EngineFigures = {
    machine: { cpu: cpus()[0]?.model.trim() ?? "", cores: availableParallelism(), threads },
    model: { shape: values.shape, dtype, backend: info.backend, weight_bytes: info.weightBytes },
    prefix,
    tokens,
    repeat,
    bandwidth_gb_s: round(over(({ bandwidth }) => bandwidth / 1e9)),
    ours,
    prefill: { ours_tokens_s: round(over((turn) => turn.prefill)) },
    ...nmse,
    ...(peer && {
      peer: {
        name: peer.name,
        build: peer.build,
        weights: peerWeights,
        decoded: lanes.map((count) => ({
          lanes: count,
          tokens_s: round(over((turn) => turn.peer?.decoded.get(count))),
        })),
        prefill_tokens_s: round(over((turn) => median(turn.peer?.prefill ?? []))),
      },
    }),
    ratio: {
      ...(lanes.includes(1) && {
        bandwidth_one_lane: round(over((turn) => bytesOf(1) / stepOf(turn, 1) / turn.bandwidth)),
        over_one_lane: lanes.map((count) => ({
          lanes: count,
          ratio: round(over((turn) => (count * stepOf(turn, 1)) / stepOf(turn, count))),
        })),
      }),
      ...(peer && {
        over_peer: lanes.map((count) => ({
          lanes: count,
          ratio: round(
            over(
              (turn) => count / stepOf(turn, count) / (turn.peer?.decoded.get(count) ?? Number.NaN),
            ),
          ),
        })),
        prefill_over_peer: round(over((turn) => turn.prefill / median(turn.peer?.prefill ?? []))),
      }),
    },
  };
  process.stdout.write(values.json ? `${JSON.stringify(figures)}\n` : table(figures));
}

/** How far int8's logits are from those of wider weights, over one structured prefill. */
async function distance(
  model: string,
  threads: number,
  tokens: readonly number[],
  say: (line: string) => void,
): Promise<{ nmse_vs_bf16: number; nmse_vs_fp32: number }> {
  const logits: Record<string, Float32Array> = {};
  for (const dtype of ["int8", "bf16", "fp32"] as const) {
    say(`logits of ${tokens.length} tokens in ${dtype}`);
    const engine = openEngine({ model, dtype, threads, kvMib: 64 }, () => {});
    logits[dtype] =
      (await engine.score([{ serial: tokens }], "sum", true)).logits ?? new Float32Array();
    engine.close();
  }
  const nmse = (got: Float32Array, want: Float32Array) => {
    let error = 0;
    let size = 0;
    for (let i = 0; i < want.length; i++) {
      error += ((got[i] ?? 0) - (want[i] ?? 0)) ** 2;
      size += (want[i] ?? 0) ** 2;
    }
    return Number((error / size).toPrecision(3));
  };
  const { int8, bf16, fp32 } = logits;
  if (!int8 || !bf16 || !fp32) throw new Error("no logits");
  return { nmse_vs_bf16: nmse(int8, bf16), nmse_vs_fp32: nmse(int8, fp32) };
}

const round = (value: number) => Number(value.toFixed(3));

/** An engine that decodes given tokens, and tells what that took. */
class ScriptedEngine {
  readonly engine: Engine;
  #ended: (() => void) | undefined;
  #failed: ((error: Error) => void) | undefined;

  constructor(options: Parameters<typeof openEngine>[0]) {
    this.engine = openEngine(
      options,
      (events) => {
        for (const list of events.values()) {
          if (list.some((event) => event.kind === "finished")) this.#ended?.();
        }
      },
      (message) => this.#failed?.(new Error(message)),
    );
  }

  /** Forks `lanes` lanes of `tokens` tokens each after the prompt: one step a token. */
  async decode(
    prompt: readonly number[],
    lanes: number,
    tokens: number,
  ): Promise<Pick<EngineLoad, "decodeSteps" | "decodeSeconds" | "prefillSeconds">> {
    const before = this.engine.load();
    const ended = new Promise<void>((resolve, reject) => {
      this.#ended = resolve;
      this.#failed = reject;
    });
    this.engine.submit({
      id: 1,
      prompt,
      script: [
        { serial: prompt },
        {
          parallel: Array.from({ length: lanes }, (_, lane) =>
            Array.from({ length: tokens }, (_, i) => (lane * 31 + i * 17 + 5) % 1000),
          ),
        },
      ],
    });
    await ended;
    const after = this.engine.load();
    return {
      decodeSteps: after.decodeSteps - before.decodeSteps,
      decodeSeconds: after.decodeSeconds - before.decodeSeconds,
      prefillSeconds: after.prefillSeconds - before.prefillSeconds,
    };
  }
}

function table(f: EngineFigures): string {
  const rows = f.ours.map((row) => {
    const peer = f.peer?.decoded.find((other) => other.lanes === row.lanes);
    const ratio = f.ratio.over_peer?.find((other) => other.lanes === row.lanes);
    return [
      String(row.lanes),
      row.tokens_s.toFixed(1),
      row.step_ms.toFixed(2),
      row.gb_s.toFixed(2),
      f.ratio.over_one_lane?.find((other) => other.lanes === row.lanes)?.ratio.toFixed(2) ?? "-",
      ...(peer && ratio ? [peer.tokens_s.toFixed(1), ratio.ratio.toFixed(2)] : []),
    ];
  });
  const heads = ["lanes", "tokens/s", "ms/step", "GB/s", "x serial"];
  if (f.peer) heads.push("peer", "x peer");
  const lines = [heads, ...rows].map((row) => row.map((cell) => cell.padStart(10)).join(""));
  const told = [
    `${f.model.shape} on ${f.model.backend}, ${f.machine.threads} threads, prefix ${f.prefix}`,
    `read bandwidth ${f.bandwidth_gb_s.toFixed(1)} GB/s, prefill ${f.prefill.ours_tokens_s.toFixed(0)} tokens/s`,
    ...(f.peer
      ? [
          `peer: ${f.peer.name}, ${f.peer.weights} (${f.peer.build}), prefill ${f.peer.prefill_tokens_s.toFixed(0)} tokens/s`,
        ]
      : []),
    ...(f.nmse_vs_bf16 === undefined
      ? []
      : [`logits' NMSE: ${f.nmse_vs_bf16} against bf16, ${f.nmse_vs_fp32} against fp32`]),
  ];
  return `${[...told, ...lines].join("\n")}\n`;
}
