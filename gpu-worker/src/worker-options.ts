// The options of npm run worker.
import { availableParallelism } from "node:os";
import { type Dtype, dtypes } from "@anabranch/native";
import { readCommandLine } from "@anabranch/shared/cli/command.ts";
import { gatewaySecret } from "@anabranch/shared/cli/local-gateway.ts";
import { decimal, integer, oneOf, required, UsageError } from "@anabranch/shared/cli/options.ts";
import { type AdapterSource, parseAdapter } from "./model/adapter-source.ts";
import { modelHelp } from "./model/locate.ts";
import type { OutlineThresholds } from "./model/outline.ts";
import { samplingFault, samplingNames } from "./model/sampling-defaults.ts";

const help = `npm run worker -- --model MODEL [options]

Serves one model to a gateway's pool, and Prometheus metrics at /metrics.

  --model MODEL       ${modelHelp}
  --adapter NAME=PATH a LoRA adapter of the model as PEFT saves it, a folder or hf:OWNER/NAME; clients ask for
                      it as MODEL:NAME (may be given several times)
  --gateway URL       gateway to register with (absent: serve without a pool)
  --port N            port to listen on (default 0: any free one)
  --host ADDRESS      address to listen on (default 127.0.0.1)
  --url URL           how the gateway reaches this worker (default http://HOST:PORT)
  --id NAME           name in the pool (default: host name and port)
  --model-id NAME     name clients ask for (default: OWNER/NAME of a model of the hub, the name of a GGUF
                      file, else what the model's config says, else the folder)
  --device DEVICE     auto, cpu or cuda:N (default auto: a GPU if there is one)
  --dtype TYPE        of the weights: bf16, int8, int4, fp8 (GPU), fp32 (CPU), or auto: as many
                      bits as the file has (default auto)
  --kv-dtype TYPE     of K and V: auto (bf16, beside fp32 weights fp32) or fp8 (GPU) (default auto)
  --deterministic     on a GPU: results do not depend on the batch, bit for bit; prompts are slower
                      (a CPU is always deterministic)
  --no-overlap        on a GPU: each kernel starts only after the previous one has ended
  --no-library        on a GPU: the engine's own products for steps of many rows (prompts, many lanes),
                      even if cuBLASLt is built in
  --threads N         engine threads (default: all cores but one, at least one)
  --kv-mib N          memory for KV (default: 90% of a GPU's free memory; on a CPU a quarter of free
                      memory, at most 1 GiB)
  --max-context N     longest prompt and answer together (default: the model's context)
  --max-running N     requests decoded at once (default 64)
  --max-queue N       requests waiting (default 256)
  --branch-schedule MODE   which lanes of an answer decode in a step: eager (all), off (one), cap:N (at most N)
                      or slack (those for which --max-time-per-token-ms, or what a request asks for, leaves
                      time) (default eager)
  --max-time-per-token-ms N   how long a token should take at most, on an answer's mean, for slack (default: no limit)
  --default-max-tokens N   completion tokens if a request names no limit (default 1024)
  --auto-threshold X  from which probability of the classifier on \`auto\` is parallel, as computed by
                      \`npm run classifier -- threshold\` for the model (default: the gateway's own)
  --outline-continue P   of a stock model: an item of a list joins an answer that branches if the model, having read those
                      before it, begins its mark with at least this probability (default 0.3)
  --outline-surprise X   and the first tokens of its body with a mean log-probability of at least -X
                      (default 2.5); \`npm run data -- outline\` fits both for a model
  --sampling-defaults FROM   temperature, top_p, top_k, min_p and repetition_penalty of requests that name
                      none: model (its generation_config.json or GGUF metadata), none, or the model's with others in
                      their place, as JSON: '{"temperature":0.2,"top_p":0.9}' (default model)

Environment:
  ANABRANCH_POOL_TOKEN         the gateway's secret for workers; needed with --gateway, unless that
                               gateway was started from this checkout on this machine (its token is in
                               ANABRANCH_STATE, default .anabranch)
  ANABRANCH_WORKER_CREDENTIAL  what the gateway must present to this worker (default: a new one at
                               each start)
  HF_TOKEN, HF_HOME, HF_HUB_CACHE, HF_HUB_OFFLINE, HF_ENDPOINT: as in Hugging Face's own tools
`;

export interface WorkerOptions {
  /** As given: a path, or a model of the hub. */
  model: string;
  modelId: string | undefined;
  adapters: AdapterSource[];
  gateway: string | undefined;
  /** The gateway's secret for workers; empty without a gateway. */
  poolToken: string;
  port: number;
  host: string;
  url: string | undefined;
  id: string | undefined;
  device: string;
  dtype: Dtype;
  kvDtype: "auto" | "fp8";
  deterministic: boolean;
  noOverlap: boolean;
  noLibrary: boolean;
  threads: number;
  kvMib: number | undefined;
  maxContext: number | undefined;
  maxRunning: number | undefined;
  maxQueue: number | undefined;
  branchSchedule: string;
  maxTimePerTokenMs: number;
  defaultMaxTokens: number;
  autoThreshold: number | undefined;
  outlineThresholds: OutlineThresholds;
  /** What of the model's counts: all, nothing, or all but what is given here, by name. */
  samplingDefaults: "model" | "none" | Record<string, unknown>;
}

const options = {
  model: { type: "string" },
  adapter: { type: "string", multiple: true },
  gateway: { type: "string" },
  port: { type: "string", default: "0" },
  host: { type: "string", default: "127.0.0.1" },
  url: { type: "string" },
  id: { type: "string" },
  "model-id": { type: "string" },
  device: { type: "string", default: "auto" },
  dtype: { type: "string", default: "auto" },
  "kv-dtype": { type: "string", default: "auto" },
  deterministic: { type: "boolean", default: false },
  "no-overlap": { type: "boolean", default: false },
  "no-library": { type: "boolean", default: false },
  threads: { type: "string" },
  "kv-mib": { type: "string" },
  "max-context": { type: "string" },
  "max-running": { type: "string" },
  "max-queue": { type: "string" },
  "branch-schedule": { type: "string", default: "eager" },
  "max-time-per-token-ms": { type: "string", default: "0" },
  "default-max-tokens": { type: "string", default: "1024" },
  "auto-threshold": { type: "string" },
  "outline-continue": { type: "string" },
  "outline-surprise": { type: "string" },
  "sampling-defaults": { type: "string", default: "model" },
} as const;

/** @throws UsageError if it is neither of the two words nor an object with known names */
function samplingDefaultsFrom(text: string): WorkerOptions["samplingDefaults"] {
  if (!text.startsWith("{"))
    return oneOf<"model" | "none">("sampling-defaults", text, ["model", "none"]);
  try {
    const given = JSON.parse(text) as Record<string, unknown>;
    const unknown = Object.keys(given).find((name) => !samplingNames.includes(name));
    if (unknown !== undefined) {
      throw new UsageError(
        `--sampling-defaults takes ${samplingNames.join(", ")}, not ${JSON.stringify(unknown)}`,
      );
    }
    const fault = samplingFault(given);
    if (fault) throw new UsageError(`--sampling-defaults: ${fault}`);
    return given;
  } catch (error) {
    if (error instanceof UsageError) throw error;
    throw new UsageError(`--sampling-defaults: ${(error as Error).message}`);
  }
}

/** @throws UsageError for what the engine does not know */
function branchScheduleOf(text: string): string {
  if (/^(eager|off|slack|cap:[1-9]\d{0,2})$/.test(text)) return text;
  throw new UsageError("--branch-schedule is eager, off, cap:N (N from 1 to 999) or slack");
}

/** @throws UsageError for another form than NAME=PATH, or a name that appears twice */
function adaptersOf(texts: readonly string[]): AdapterSource[] {
  const adapters = texts.map(parseAdapter);
  const names = adapters.map(({ name }) => name);
  const twice = names.find((name, i) => names.indexOf(name) !== i);
  if (twice !== undefined) throw new UsageError(`--adapter names "${twice}" twice`);
  return adapters;
}

/**
 * Reads this process's command line. With --help it prints that and exits.
 * @throws UsageError naming the option that is wrong
 */
export function readWorkerOptions(): WorkerOptions {
  const { values: args } = readCommandLine({ name: "worker", help, options });
  const whole = (
    name: "threads" | "kv-mib" | "max-context" | "max-running" | "max-queue",
    max: number,
  ) => {
    const value = args[name];
    return value === undefined ? undefined : integer(name, value, 1, max);
  };
  const number = (name: "auto-threshold" | "outline-continue" | "outline-surprise", max = 1) => {
    const value = args[name];
    return value === undefined ? undefined : decimal(name, value, 0, max);
  };
  const { gateway, device, host, url, id } = args;
  const model = required("model", args.model);
  if (!/^(auto|cpu|cuda:\d{1,2})$/.test(device)) {
    throw new UsageError("--device is auto, cpu or cuda:N");
  }
  const token = gateway ? gatewaySecret(gateway, "ANABRANCH_POOL_TOKEN") : "";
  if (gateway && token === "") {
    throw new UsageError("ANABRANCH_POOL_TOKEN is not set: it is the gateway's secret for workers");
  }
  return {
    ...{ model, gateway, device, host, url, id },
    modelId: args["model-id"],
    adapters: adaptersOf(args.adapter ?? []),
    poolToken: token,
    port: integer("port", args.port, 0, 65535),
    dtype: oneOf("dtype", args.dtype, dtypes),
    kvDtype: oneOf("kv-dtype", args["kv-dtype"], ["auto", "fp8"]),
    deterministic: args.deterministic,
    noOverlap: args["no-overlap"],
    noLibrary: args["no-library"],
    // One core stays free for Node, which would otherwise delay the engine's barriers.
    threads: whole("threads", 1024) ?? Math.max(1, availableParallelism() - 1),
    kvMib: whole("kv-mib", 1 << 24),
    maxContext: whole("max-context", 1 << 24),
    maxRunning: whole("max-running", 65536),
    maxQueue: whole("max-queue", 1 << 20),
    branchSchedule: branchScheduleOf(args["branch-schedule"]),
    maxTimePerTokenMs: decimal("max-time-per-token-ms", args["max-time-per-token-ms"], 0, 1e6),
    defaultMaxTokens: integer("default-max-tokens", args["default-max-tokens"], 1, 1 << 24),
    autoThreshold: number("auto-threshold"),
    outlineThresholds: {
      continueProbability: number("outline-continue"),
      surprise: number("outline-surprise", 1000),
    },
    samplingDefaults: samplingDefaultsFrom(args["sampling-defaults"]),
  };
}
