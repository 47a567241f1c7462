// npm run bench -- engine: decode speed of several lanes over one prefix, and prefill speed.
import { availableParallelism } from "node:os";
import { basename } from "node:path";
import { locateModel, modelHelp } from "@anabranch/gpu-worker/model/locate.ts";
import {
  type Dtype,
  dtypes,
  type EngineInfo,
  type EngineLoad,
  inspectModel,
  openEngine,
  readBandwidth,
} from "@anabranch/native";
import { integer, integers, oneOf, UsageError } from "@anabranch/shared/cli/options.ts";
import { ADAPTER_RANK, type AdapterRun, loadRandomAdapters, measureAdapters } from "./adapters.ts";
import { EngineClient } from "./engine-client.ts";
import { ggufFile } from "./gguf.ts";
import { llamaCpp, type Peer, type PeerRun } from "./peer.ts";
import { median } from "./quantiles.ts";
import { randomCheckpoint } from "./random-checkpoint.ts";
import { columns, type Machine, round, say, thisMachine } from "./report.ts";
import { fixedPrompt, shapeNames, shapeOf } from "./shapes.ts";
import { defineSubject } from "./subject.ts";

const help = `npm run bench -- engine [options]

Measures the engine with random weights in the shape of a known model, or with those of a model that
you have. A prefix is prefilled and forked into lanes, and every lane decodes scripted tokens through the engine as it serves. Decode
figures exclude loading and prefill. tokens_s counts all lanes together. gb_s is the bytes of weights
and KV that a step must read at least once, divided by the step's time. bandwidth_gb_s is the read
bandwidth of the same threads, measured before each run. A ratio is the median of the runs' ratios.

  --shape NAME      ${shapeNames.join(", ")}
                    (default qwen2.5-0.5b)
  --model MODEL     instead: ${modelHelp}
  --dtype TYPE      ${dtypes.join(", ")} (default auto: as many bits as the file has, for
                    shapes bf16); int8 and int4 also report the error of the logits of 64 tokens
                    relative to bf16 and fp32 weights
  --lanes LIST      lanes decoded together (default 1,2,4,8,16)
  --prefix N        tokens of the common prefix (default 512)
  --tokens N        tokens decoded in each lane (default 32)
  --repeat N        number of runs; figures are medians over them (default 3)
  --adapters N      also decodes as many requests as the most lanes, of short prompts of their own, with N
                    random LoRA adapters in turn (rank ${ADAPTER_RANK}, all linear layers) and without, in
                    changing order
  --peer llama.cpp  also runs llama-batched-bench of llama.cpp (LLAMA_BATCHED_BENCH names the program)
                    on the same weights, after each of our runs: on a shape's in bf16, or in q8_0
                    beside int8 and q4_0 beside int4, which then reads the same file; on --model's
                    file
  --device DEVICE   auto, cpu or cuda:N (default auto: a GPU if one works)
  --threads N       engine threads (default: one per core)
  --code-path NAME  avx512bf16, avx512vnni, avx512, avx2 or plain (default: the first that this CPU has)
  --json            print one JSON value to stdout
`;

interface Decoded {
  lanes: number;
  tokens_s: number;
  step_ms: number;
  gb_s: number;
}

/** What the command prints with --json. */
export interface EngineFigures {
  machine: Machine;
  model: { name: string; dtype: string; backend: string; weight_bytes: number };
  prefix: number;
  tokens: number;
  repeat: number;
  bandwidth_gb_s: number;
  ours: Decoded[];
  prefill: { ours_tokens_s: number };
  /** Normalised mean squared error of the logits of quantized weights. */
  nmse_vs_bf16?: number;
  nmse_vs_fp32?: number;
  peer?: {
    name: string;
    build: string;
    weights: string;
    decoded: { lanes: number; tokens_s: number }[];
    prefill_tokens_s: number;
  };
  /** Tokens/s of separate requests, with adapters and without. */
  adapters?: {
    adapters: number;
    rank: number;
    requests: number;
    tokens_s: number;
    without_tokens_s: number;
  };
  ratio: {
    /** Tokens/s with adapters over those without, of the same run; median over the runs. */
    adapters_over_none?: number;
    /** GB/s of one lane over the read bandwidth measured just before. */
    bandwidth_one_lane?: number;
    /** Tokens/s over those of one lane. */
    over_one_lane?: { lanes: number; ratio: number }[];
    /** Our tokens/s over the peer's of the same run, median over the runs. */
    over_peer?: { lanes: number; ratio: number }[];
    prefill_over_peer?: number;
  };
}

export const subject = defineSubject({
  help,
  options: {
    shape: { type: "string", default: "qwen2.5-0.5b" },
    model: { type: "string" },
    dtype: { type: "string", default: "auto" },
    lanes: { type: "string", default: "1,2,4,8,16" },
    prefix: { type: "string", default: "512" },
    tokens: { type: "string", default: "32" },
    repeat: { type: "string", default: "3" },
    adapters: { type: "string", default: "0" },
    peer: { type: "string" },
    threads: { type: "string", default: String(availableParallelism()) },
    device: { type: "string", default: "auto" },
    "code-path": { type: "string", default: "" },
  },
  async measure(values) {
    const dtype = oneOf("dtype", values.dtype, dtypes);
    const withPeer = values.peer !== undefined;
    if (values.peer !== undefined) oneOf("peer", values.peer, ["llama.cpp"]);
    const settings = {
      withPeer,
      device: values.device,
      codePath: values["code-path"],
      adapters: integer("adapters", values.adapters, 0, 64),
      lanes: integers("lanes", values.lanes, 1, 256),
      prefix: integer("prefix", values.prefix, 1, 1 << 20),
      tokens: integer("tokens", values.tokens, 1, 1 << 20),
      repeat: integer("repeat", values.repeat, 1, 1000),
      threads: integer("threads", values.threads, 1, 1024),
    };
    const model = values.model
      ? await fileModel(values.model, dtype, withPeer)
      : shapeModel(values.shape, dtype, withPeer);
    return await measureEngine({ ...model, ...settings });
  },
  table,
});

interface Model {
  name: string;
  path: string;
  dtype: Dtype;
  /** What the peer reads, and its type. */
  peerPath: string;
  peerWeights: string;
}

/** A shape's random weights; int4 beside a peer computes with the peer's file. */
function shapeModel(name: string, wanted: Dtype, withPeer: boolean): Model {
  const shape = shapeOf(name);
  const dtype = wanted === "auto" ? "bf16" : wanted;
  const folder = randomCheckpoint(name);
  if (!withPeer) return { name, path: folder, dtype, peerPath: "", peerWeights: "" };
  const weights = { bf16: "bf16", int8: "q8_0", int4: "q4_0" } as const;
  const compared = oneOf("dtype", dtype, ["bf16", "int8", "int4"] as const);
  const peerWeights = weights[compared];
  const peerPath = ggufFile(folder, shape, peerWeights);
  return { name, path: dtype === "int4" ? peerPath : folder, dtype, peerPath, peerWeights };
}

async function fileModel(model: string, dtype: Dtype, withPeer: boolean): Promise<Model> {
  const { path, format } = await locateModel(model);
  if (withPeer && format !== "gguf") {
    throw new UsageError("--peer llama.cpp reads GGUF alone: give --model a .gguf file");
  }
  return { name: basename(path), path, dtype, peerPath: path, peerWeights: "the same file" };
}

interface Settings extends Model {
  device: string;
  /** "" for the engine's own choice. */
  codePath: string;
  lanes: number[];
  prefix: number;
  tokens: number;
  repeat: number;
  threads: number;
  withPeer: boolean;
  adapters: number;
}

/** One measurement of everything. */
interface Run {
  /** Bytes a second. */
  bandwidth: number;
  /** Seconds of a decode step, by lanes. */
  stepSeconds: Map<number, number>;
  /** Tokens a second. */
  prefill: number;
  peer?: PeerRun;
  adapters?: AdapterRun;
}

async function measureEngine(settings: Settings): Promise<EngineFigures> {
  const { path, threads, prefix, peerPath } = settings;
  const peer = settings.withPeer ? llamaCpp(threads) : undefined;
  const kvTokenBytes = kvTokenBytesOf(settings);
  const client = openClient(settings, kvTokenBytes);
  const info = client.engine.info();
  say(`decoding on ${info.backend}`);
  const prompt = fixedPrompt(prefix, info.vocabulary);
  const { lanes, tokens, adapters } = settings;
  const names = await loadRandomAdapters(client, inspectModel(path).config, adapters);
  const runs: Run[] = [];
  for (let i = 0; i < settings.repeat; i++) {
    const run = await measureRun(client, prompt, settings);
    if (adapters > 0) {
      const first = i % 2 === 0 ? "without" : "with";
      run.adapters = await measureAdapters(client, names, Math.max(...lanes), tokens, first);
    }
    runs.push(peer ? { ...run, peer: peer.run(peerPath, lanes, prefix, tokens) } : run);
    say(`  run ${i + 1} of ${settings.repeat} done`);
  }
  client.engine.close();
  const words = info.backend.split(/[ ,]+/);
  const quantized = (["int8", "int4"] as const).find((each) => words.includes(each));
  const nmse =
    quantized && (await quantizationError(path, quantized, threads, prompt.slice(0, 64)));
  return figuresOf(settings, info, kvTokenBytes, runs, nmse, peer);
}

/** K and V are fp32 beside fp32 weights, else bf16. */
function kvTokenBytesOf({ path, dtype }: Settings): number {
  const alike = dtype === "fp32" ? "fp32" : "bf16";
  const { memory } = inspectModel(path);
  return memory.find((each) => each.device === "cpu" && each.dtype === alike)?.kvTokenBytes ?? 0;
}

function openClient(settings: Settings, kvTokenBytes: number): EngineClient {
  const { path, dtype, device, threads, lanes, prefix, tokens, codePath } = settings;
  const maxTokens = prefix + Math.max(...lanes) * (tokens + 32) + 256;
  say(`loading ${path} in ${dtype}`);
  return new EngineClient({
    ...{ model: path, dtype, device, threads },
    kvMib: Math.ceil((maxTokens * kvTokenBytes) / 2 ** 20) + 1,
    ...(codePath ? { codePath } : {}),
  });
}

async function measureRun(
  client: EngineClient,
  prompt: readonly number[],
  { lanes, tokens, threads }: Settings,
): Promise<Run> {
  const bandwidth = readBandwidth(threads, 1024, 3);
  const stepSeconds = new Map<number, number>();
  const prefillRates: number[] = [];
  for (const count of lanes) {
    const spent = await decode(client, prompt, count, tokens);
    if (spent.decodeSteps !== tokens) {
      throw new Error(`the engine took ${spent.decodeSteps} decode steps instead of ${tokens}`);
    }
    stepSeconds.set(count, spent.decodeSeconds / spent.decodeSteps);
    prefillRates.push(prompt.length / spent.prefillSeconds);
  }
  return { bandwidth, stepSeconds, prefill: median(prefillRates) };
}

/** Forks the prompt into `lanes` lanes of `tokens` scripted tokens each: one step per token. */
async function decode(
  client: EngineClient,
  prompt: readonly number[],
  lanes: number,
  tokens: number,
): Promise<Pick<EngineLoad, "decodeSteps" | "decodeSeconds" | "prefillSeconds">> {
  const before = client.engine.load();
  const branches = Array.from({ length: lanes }, (_, lane) =>
    Array.from({ length: tokens }, (_, i) => (lane * 31 + i * 17 + 5) % 1000),
  );
  const script = [{ serial: prompt }, { parallel: branches }];
  await client.submit({ prompt, script }).finished;
  const after = client.engine.load();
  return {
    decodeSteps: after.decodeSteps - before.decodeSteps,
    decodeSeconds: after.decodeSeconds - before.decodeSeconds,
    prefillSeconds: after.prefillSeconds - before.prefillSeconds,
  };
}

/** Error of quantized weights' logits relative to those of wider weights, over one prefill. */
async function quantizationError(
  model: string,
  quantized: Dtype,
  threads: number,
  tokens: readonly number[],
): Promise<{ nmse_vs_bf16: number; nmse_vs_fp32: number }> {
  const logits: Record<string, Float32Array> = {};
  for (const dtype of [quantized, "bf16", "fp32"] as const) {
    say(`logits of ${tokens.length} tokens in ${dtype}`);
    const engine = openEngine({ model, dtype, threads, kvMib: 64 }, () => {});
    logits[dtype] =
      (await engine.score([{ serial: tokens }], "sum", { logits: true })).logits ??
      new Float32Array();
    engine.close();
  }
  const { [quantized]: values, bf16, fp32 } = logits;
  if (!values || !bf16 || !fp32) throw new Error("no logits");
  return { nmse_vs_bf16: nmse(values, bf16), nmse_vs_fp32: nmse(values, fp32) };
}

/** Normalised mean squared error. */
function nmse(values: Float32Array, reference: Float32Array): number {
  let error = 0;
  let size = 0;
  for (let i = 0; i < reference.length; i++) {
    error += ((values[i] ?? 0) - (reference[i] ?? 0)) ** 2;
    size += (reference[i] ?? 0) ** 2;
  }
  return Number((error / size).toPrecision(3));
}

function figuresOf(
  { name, dtype, lanes, prefix, tokens, repeat, threads, peerWeights, adapters }: Settings,
  { backend, weightBytes }: EngineInfo,
  kvTokenBytes: number,
  runs: readonly Run[],
  errors: { nmse_vs_bf16: number; nmse_vs_fp32: number } | undefined,
  peer: Peer | undefined,
): EngineFigures {
  const overRuns = (value: (run: Run) => number | undefined) =>
    round(median(runs.map((run) => value(run) ?? Number.NaN)));
  const rateOf = (run: Run, count: number) => count / (run.stepSeconds.get(count) ?? Number.NaN);
  const bytesPerStep = (count: number) =>
    weightBytes + (prefix + (count * tokens) / 2) * kvTokenBytes;
  const peerPrefill = (run: Run) => median(run.peer?.prefill ?? []);
  const ours = lanes.map((count): Decoded => {
    const step = median(runs.map(({ stepSeconds }) => stepSeconds.get(count) ?? Number.NaN));
    return {
      lanes: count,
      tokens_s: round(count / step),
      step_ms: round(step * 1e3),
      gb_s: round(bytesPerStep(count) / step / 1e9),
    };
  });
  return {
    machine: thisMachine(threads),
    model: { name, dtype, backend, weight_bytes: weightBytes },
    prefix,
    tokens,
    repeat,
    bandwidth_gb_s: overRuns(({ bandwidth }) => bandwidth / 1e9),
    ours,
    prefill: { ours_tokens_s: overRuns(({ prefill }) => prefill) },
    ...errors,
    ...(peer && {
      peer: {
        name: peer.name,
        build: peer.build,
        weights: peerWeights,
        decoded: lanes.map((count) => ({
          lanes: count,
          tokens_s: overRuns((run) => run.peer?.decoded.get(count)),
        })),
        prefill_tokens_s: overRuns(peerPrefill),
      },
    }),
    ...(adapters > 0 && {
      adapters: {
        ...{ adapters, rank: ADAPTER_RANK, requests: Math.max(...lanes) },
        tokens_s: overRuns((run) => run.adapters?.with),
        without_tokens_s: overRuns((run) => run.adapters?.without),
      },
    }),
    ratio: {
      ...(adapters > 0 && {
        adapters_over_none: overRuns(
          (run) => (run.adapters?.with ?? Number.NaN) / (run.adapters?.without ?? Number.NaN),
        ),
      }),
      ...(lanes.includes(1) && {
        bandwidth_one_lane: overRuns((run) => (bytesPerStep(1) * rateOf(run, 1)) / run.bandwidth),
        over_one_lane: lanes.map((count) => ({
          lanes: count,
          ratio: overRuns((run) => rateOf(run, count) / rateOf(run, 1)),
        })),
      }),
      ...(peer && {
        over_peer: lanes.map((count) => ({
          lanes: count,
          ratio: overRuns(
            (run) => rateOf(run, count) / (run.peer?.decoded.get(count) ?? Number.NaN),
          ),
        })),
        prefill_over_peer: overRuns((run) => run.prefill / peerPrefill(run)),
      }),
    },
  };
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
  const lines = columns([heads, ...rows]);
  const heading = [
    `${f.model.name} on ${f.model.backend}, ${f.machine.threads} threads, prefix ${f.prefix}`,
    `read bandwidth ${f.bandwidth_gb_s.toFixed(1)} GB/s, prefill ${f.prefill.ours_tokens_s.toFixed(0)} tokens/s`,
    ...(f.peer
      ? [
          `peer: ${f.peer.name}, ${f.peer.weights} (${f.peer.build}), prefill ${f.peer.prefill_tokens_s.toFixed(0)} tokens/s`,
        ]
      : []),
    ...(f.adapters
      ? [
          `${f.adapters.requests} requests with ${f.adapters.adapters} adapters: ${f.adapters.tokens_s.toFixed(1)} tokens/s, ` +
            `${f.ratio.adapters_over_none?.toFixed(2)} times ${f.adapters.without_tokens_s.toFixed(1)} without`,
        ]
      : []),
    ...(f.nmse_vs_bf16 === undefined
      ? []
      : [`logits' NMSE: ${f.nmse_vs_bf16} against bf16, ${f.nmse_vs_fp32} against fp32`]),
  ];
  return `${[...heading, ...lines].join("\n")}\n`;
}
