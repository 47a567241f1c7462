// The engine for TypeScript: the addon's types, and the decoding of its events.
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";

/**
 * Tokens with their lane structure. In scripts, `openings` gives the number of opening tokens of each
 * branch; then fork and join take one step each, as in a dialect.
 */
export type StructureRun =
  | { serial: readonly number[] }
  | { parallel: readonly (readonly number[])[]; openings?: readonly number[] };

export interface ScoreOptions {
  /** Give the raw logits. */
  logits?: boolean;
  /** Alternatives for each token, up to 64. */
  topLogprobs?: number;
  adapter?: string;
  /** To cancel it by; one that no request has. */
  id?: number;
}

export interface Score {
  runs: ScoredRun[];
  /** [tokens, vocabulary], in serialised order: of what follows each token. */
  logits?: Float32Array;
  /** [tokens, topLogprobs], in serialised order: the likeliest in each token's place; -1 in that of the first of a list. */
  top?: { ids: Int32Array; logprobs: Float32Array };
}

/** The shape of a run with each token's log-probability; null for the first token of every list. */
export type ScoredRun = { serial: (number | null)[] } | { parallel: (number | null)[][] };

export type Resume = "sum" | "max";

/**
 * Weight formats. auto is int4 for a checkpoint whose linear layers have four bits, int8 for one of
 * five to eight, else bf16. int8 and fp8 weights are quantized while any checkpoint loads. int4 keeps tensors
 * of four bits, quantizes float ones to four bits, and others, as well as the head, to eight.
 */
export const dtypes = ["auto", "bf16", "int8", "int4", "fp8", "fp32"] as const;
export type Dtype = (typeof dtypes)[number];

export interface EngineOptions {
  /** A folder in Hugging Face format. */
  model: string;
  /** A dialect as JSON, in place of the folder's aspd.json. */
  dialect?: string;
  /** A model without a dialect may branch at its lists by it. Its texts serve dialects: no visible title repeats another. */
  outline?: OutlineRules;
  /**
   * For each token by id, the number of its bytes in two bytes, little-endian, and they; none for tokens
   * that write no text. Without it no request can have a grammar.
   */
  tokenBytes?: Uint8Array;
  /** Maximum number of positions, below the model's own; 0 or absent: the model's own. */
  maxContext?: number;
  /** LoRA adapters that are loaded with the model. */
  adapters?: readonly AdapterSource[];
  /** Format of the weights; default bf16. The CPU has no fp8, GPUs have no fp32. */
  dtype?: Dtype;
  /** Format of K and V; default auto: fp32 with fp32 weights, else bf16. The CPU has no fp8. */
  kvDtype?: "auto" | "fp8";
  /** "cpu", "cuda:N" or "auto" (default): a GPU if this build and the machine have one. */
  device?: string;
  /** 0 or absent: one per core. */
  threads?: number;
  /**
   * Memory for KV. 0 or absent: on a GPU nine tenths of the free memory, else a quarter of it, at most
   * 1 GiB.
   */
  kvMib?: number;
  /** Maximum rows per step; 0 or absent: the backend's default. */
  maxRows?: number;
  /** GPU: results don't depend on the batch, to the bit, but are slower. The CPU is always so. */
  deterministic?: boolean;
  /** GPU: each kernel starts only after the previous one has ended. */
  noOverlap?: boolean;
  /** GPU: the engine's own kernels for prompts, even if cuBLASLt is built in. */
  noLibrary?: boolean;
  /** One of codePaths(); default: the best. */
  codePath?: string;
  maxRunning?: number;
  maxQueue?: number;
  /** Maximum prompt tokens per step; 0 or absent: the backend's default. */
  prefillRows?: number;
  /**
   * Which lanes of an answer decode in a step: "eager" (default): all; "off": one; "cap:N": at most N;
   * "slack": those that keep the step within the tightest maxTimePerTokenMs. Answers don't depend on it.
   */
  branchSchedule?: string;
  /** Of requests that name none; 0 or absent: none. */
  maxTimePerTokenMs?: number;
  /**
   * Minimum time between two deliveries of tokens; starts and ends are delivered at once. 0 or absent:
   * every step delivers. For small models a delivery costs more than a step. Of more than 20 requests that run it is
   * longer in proportion, because each has a part in every delivery.
   */
  flushIntervalMs?: number;
  /** Check every invariant after every step (tests). */
  validate?: boolean;
}

/** What the engine must know of text to find lists in it. */
export interface OutlineRules {
  /** The text of each token, by id; empty for tokens that are no text. */
  texts: readonly string[];
  /** In lower case. A title that begins with one of these words belongs to a sequence. */
  sequentialTitles: readonly string[];
  /** Titles of parts that sum up the others. */
  closingTitles: readonly string[];
  /** A list is a procedure if the line before it has one of these words. */
  procedureWords: readonly string[];
  /**
   * After an item, the list goes on if the model writes the next item's mark with at least this
   * probability. Absent: the engine's default.
   */
  continueProbability?: number;
  /**
   * An item stays if the model, having read those before it, gives the first tokens of its body at least this mean
   * log-probability, in nats. Absent: the engine's default.
   */
  bodyLogProbability?: number;
}

/** A LoRA adapter: what PEFT's save_pretrained() writes. */
export interface AdapterSource {
  name: string;
  /** A folder with adapter_config.json and adapter_model.safetensors. */
  path: string;
  /** A dialect as JSON, in place of the folder's aspd.json; without both, the model's holds. */
  dialect?: string;
  /** Tokens that its tokenizer knows: refused if there are not as many rows of the embedding. */
  tokens?: number;
}

export interface AdapterInfo {
  name: string;
  /** Of model and adapter: equal digests give equal answers. */
  digest: string;
  /** The dialect of answers with it; empty: they don't branch. */
  dialect: string;
  /** The model's vocabulary, or more if the adapter adds tokens. */
  vocabulary: number;
}

export interface Sampling {
  temperature?: number;
  topP?: number;
  topK?: number;
  minP?: number;
  presencePenalty?: number;
  frequencyPenalty?: number;
  repetitionPenalty?: number;
  logitBias?: readonly (readonly [number, number])[];
  logprobs?: boolean;
  topLogprobs?: number;
}

export interface EngineRequest {
  /** Names the request in events; unique among live requests. */
  id: number;
  /** Token ids, or runs if it contains structured answers; the first and last run are serial. */
  prompt: readonly number[] | Uint32Array | readonly StructureRun[];
  /** The name of a loaded adapter; absent: the model itself. */
  adapter?: string;
  sampling?: Sampling;
  parallel?: boolean;
  maxBranches?: number;
  maxTokens?: number;
  seed?: bigint | number;
  choice?: number;
  stopTokens?: readonly number[];
  ignoreEos?: boolean;
  /** What the answer may say (layout: native/engine/grammar/grammar.h); it is then serial. */
  grammar?: Uint32Array;
  deadlineMs?: number;
  /** Higher goes first, and keeps its KV if there is too little; -1000 to 1000, default 0. */
  priority?: number;
  /** Requests with the same salt share KV of equal prefixes; absent or empty: not shared. */
  cacheSalt?: Uint8Array;
  /** An answer that another engine began, up to the end of a step: it is emitted again and continues. */
  log?: readonly LoggedLane[];
  /** For the branch schedule "slack": how long a step should take at most; 0 or absent: the engine's. */
  maxTimePerTokenMs?: number;
  /** Debugging: siblings are decoded one after another, and there are no draft tokens. */
  sequential?: boolean;
  /** Debugging: raw logits of every sampled token. */
  returnLogits?: boolean;
  /** Gives tokens and structure instead of sampling them; the first run begins with the prompt. */
  script?: readonly StructureRun[];
  /** In scripts: the tokens that open and close a plan's titles, drafted as in a dialect. */
  scriptTitles?: { open: readonly number[]; close: readonly number[] };
  /** Where the trunk continues after parallel runs of prompt and script; default: the dialect's rule. */
  resume?: Resume;
}

/** A lane of an answer that another engine began, as far as it was emitted. */
export interface LoggedLane {
  lane: number;
  tokens: readonly number[] | Uint32Array;
  /** The CloseReason of a branch whose end was emitted. */
  closed?: number;
  /** Whether the branch of an outlined stage was accepted. */
  accepted?: boolean;
}

export interface EngineInfo {
  backend: string;
  digest: string;
  dialect: string;
  vocabulary: number;
  context: number;
  /** Bytes of weights that a step reads. */
  weightBytes: number;
}

export interface EngineLoad {
  running: number;
  queued: number;
  liveLanes: number;
  /** Prompt tokens to be computed, of running and queued requests. */
  pendingPrefill: number;
  /** Of context, that the last step's decode rows read. */
  contextTokens: number;
  /** What parts of a step cost, in seconds, as measured until now; all 0 before a token was decoded. */
  stepCosts: {
    /** Whatever it computes. */
    step: number;
    decodeRow: number;
    prefillRow: number;
    /** That decode rows read. */
    kvToken: number;
  };
  /** Blocks that can be allocated, including kvCached. */
  kvFree: number;
  /** Free blocks in the prefix cache. */
  kvCached: number;
  kvTotal: number;
  steps: number;
  decodeRows: number;
  prefillRows: number;
  /** Steps without prefill rows, and their time. */
  decodeSteps: number;
  decodeSeconds: number;
  /** Time of the steps with prefill rows. */
  prefillSeconds: number;
  /** Weights and KV, each counted once per step. */
  bytesRead: number;
  /** Lanes that waited while others of their answer decoded, summed over steps. */
  heldLanes: number;
  /** Time of steps as predicted before each, and by how much it was wrong. */
  predictedSeconds: number;
  mispredictionSeconds: number;
  /** Time of steps outside of the forward pass and sampling. */
  schedulingSeconds: number;
  preemptions: number;
  /** Prompt tokens of admitted requests, and those of them found in the prefix cache. */
  promptTokens: number;
  cachedTokens: number;
  /** Requests that finished, for any reason. */
  finished: number;
  /** Estimated wait of a request that is queued now. */
  queueWaitSeconds: number;
}

export interface EngineUsage {
  promptTokens: number;
  completionTokens: number;
  visibleTokens: number;
  cachedTokens: number;
  steps: number;
  stages: number;
  branches: number;
  /** Of hidden lanes that wrote titles. */
  outlineTokens: number;
  /** Of branches that are not part of the answer. */
  droppedTokens: number;
  /** Why a plan opened no branches, as PlanDrop in the protocol; 0: none was dropped. */
  droppedPlan: number;
  /** What became of each outline, as OutlineEnd in the protocol. */
  outlineEnds: number[];
}

export interface EngineToken {
  id: number;
  /** Hidden tokens may be released later: see the event `released`. */
  visible: boolean;
  forced: boolean;
  logprob?: number;
  top?: { id: number; logprob: number }[];
}

/** The values of `reason` are those of FinishReason and CloseReason in the protocol. */
export type EngineEvent =
  | { kind: "started"; promptTokens: number; cachedTokens: number }
  | { kind: "token"; lane: number; token: EngineToken }
  | {
      kind: "stageOpened";
      stage: number;
      /** Its branches are part of the answer once they are accepted; the trunk goes on. */
      outlined: boolean;
      lanes: { lane: number; title: number[] }[];
    }
  | { kind: "branchClosed"; lane: number; reason: number }
  /** The branch of an outlined stage belongs to the answer. */
  | { kind: "branchAccepted"; lane: number }
  | { kind: "stageClosed"; stage: number }
  /** Tokens that came as hidden, because a marker may begin with them, are visible text after all. */
  | { kind: "released"; lane: number; tokens: EngineToken[] }
  | { kind: "finished"; reason: number; usage: EngineUsage }
  | { kind: "logits"; lane: number; index: number; logits: Float32Array };

export interface Engine {
  info(): EngineInfo;
  /**
   * Throws an Error with `code` (a gRPC status name) if the request can't be served. If the queue is
   * full, the error has `retryAfterSeconds`, an estimate.
   */
  submit(request: EngineRequest): void;
  /**
   * Submits requests that arrive together, the branches of one answer: all of them, or none. Where their
   * prompts begin alike, whole blocks are prefilled once. A queue that is not full takes them all. Throws as
   * submit() does; the error of one request names it as `branches[i]`.
   */
  submitGroup(requests: readonly EngineRequest[]): void;
  /** Ends a request in the next step, or a score, which then rejects with `code` "cancelled". */
  cancel(id: number): void;
  load(): EngineLoad;
  /**
   * Reads an adapter while requests run. Rejects with an Error with `code` that names the file and what is
   * wrong with it.
   */
  loadAdapter(source: AdapterSource): Promise<AdapterInfo>;
  /** New requests can't ask for it any more; running ones keep it until they end. */
  unloadAdapter(name: string): void;
  /** The loaded adapters, in order of names. */
  adapters(): AdapterInfo[];
  /** Throws as submit() does. Rejects if the engine closes first. */
  score(runs: readonly StructureRun[], resume: Resume, options?: ScoreOptions): Promise<Score>;
  /** Cancels everything and joins the engine thread. */
  close(): void;
}

/** What the engine makes of a model's files. */
export interface ModelInspection {
  config: {
    hidden: number;
    layers: number;
    heads: number;
    kvHeads: number;
    headDim: number;
    intermediate: number;
    vocabulary: number;
    context: number;
    tiedEmbeddings: boolean;
  };
  /** One entry for every combination of formats, whether or not this machine has the device. */
  memory: MemoryEstimate[];
}

export interface MemoryEstimate {
  device: "cpu" | "cuda";
  dtype: Dtype;
  kvDtype: "auto" | "fp8";
  /** Scratch buffers not included. */
  weightBytes: number;
  /** K and V of one token in all layers. */
  kvTokenBytes: number;
}

export interface QuantizeOptions {
  /** A Hugging Face folder, or a GGUF file. */
  model: string;
  /** To write; must not be there yet. Of a folder safetensors in MLX's format, of a GGUF file GGUF. */
  file: string;
  dtype: "int4" | "int8";
  /** 0 or absent: one per core. */
  threads?: number;
}

export interface QuantizedPart {
  tensors: number;
  weights: number;
  /** Squared error over the squared values, of what was quantized. */
  error: number;
}

export interface QuantizedCopy {
  fourBit: QuantizedPart;
  eightBit: QuantizedPart;
  /** Copied as they are: vectors, and what has few bits already. */
  kept: QuantizedPart;
  /** Of the file. */
  bytes: number;
  /** Scales of eight-bit groups that GGUF's fp16 does not hold exactly. */
  inexactScales: number;
  /** Of MLX's format: values that share a scale, and the layers of eight bits. */
  fourBitGroup: number;
  eightBitGroup: number;
  eightBitLayers: string[];
}

interface Addon {
  Engine: new (
    options: EngineOptions,
    onEvents: (words: Uint32Array) => void,
    onFault: (message: string) => void,
  ) => Engine;
  codePaths(): string[];
  cudaDevices(): number;
  inspectModel(path: string): ModelInspection;
  lockFile(fd: number): boolean;
  readBandwidth(threads: number, mib: number, passes: number): number;
  writeQuantizedCopy(
    options: QuantizeOptions,
    onProgress: (done: number, all: number) => void,
  ): Promise<QuantizedCopy>;
}

const addonPath = fileURLToPath(new URL("../build/anabranch.node", import.meta.url));
let loaded: Addon | undefined;
/** Loaded with its first use: `--help` needs no engine. */
function addon(): Addon {
  loaded ??= createRequire(import.meta.url)(addonPath) as Addon;
  return loaded;
}

/** The instruction-set paths that this CPU can run, best first. */
export const codePaths = (): string[] => addon().codePaths();

/** The number of GPUs that this build can use; -1 if it was built without CUDA. */
export const cudaDevices = (): number => addon().cudaDevices();

/**
 * Reads a model's headers, not its weights.
 * @throws Error with `code` that says why the engine can't run the model
 */
export const inspectModel = (path: string): ModelInspection => addon().inspectModel(path);

/**
 * Tries to take the exclusive lock (flock) of an open file; closing the file releases it.
 * @returns false if another process holds it
 * @throws Error if its file system has no locks
 */
export const lockFile = (fd: number): boolean => addon().lockFile(fd);

/**
 * Bytes per second at which `threads` threads read `mib` MiB of memory: the best of `passes`. Blocks
 * until it is done.
 */
export const readBandwidth = (threads: number, mib: number, passes: number): number =>
  addon().readBandwidth(threads, mib, passes);

/**
 * Writes the weights of a model as `dtype` makes them while it loads.
 * @param onProgress called now and then, with the weights that are done and all of them
 * @throws Error with `code` that names the file; what was written of `file` is left
 */
export const writeQuantizedCopy = (
  options: QuantizeOptions,
  onProgress: (done: number, all: number) => void,
): Promise<QuantizedCopy> => addon().writeQuantizedCopy(options, onProgress);

/**
 * Loads a model and starts its engine thread.
 * @param onEvents called at most once per step, with the events since the last call, by request
 * @param onFault called once if the engine fails; it then stops serving
 * @throws Error with `code`, naming the file and the field, or the option
 */
export function openEngine(
  options: EngineOptions,
  onEvents: (events: Map<number, EngineEvent[]>) => void,
  onFault: (message: string) => void = (message) => {
    throw new Error(`engine: ${message}`);
  },
): Engine {
  return new (addon().Engine)(options, (words) => onEvents(unpack(words)), onFault);
}

/** Decodes the buffer of one call (layout: native/engine/serving/events.h) to events by request, in order. */
function unpack(words: Uint32Array): Map<number, EngineEvent[]> {
  const out = new Map<number, EngineEvent[]>();
  const floats = new Float32Array(words.buffer, words.byteOffset, words.length);
  let at = 0;
  const word = (): number => words[at++] ?? 0;
  const float = (): number => floats[at++] ?? 0;
  while (at < words.length) {
    const kind = word();
    const request = word();
    const length = word();
    const end = at + length;
    const event = unpackOne(kind, end);
    at = end;
    const list = out.get(request);
    if (list) list.push(event);
    else out.set(request, [event]);
  }
  return out;

  function unpackToken(): EngineToken {
    const id = word();
    const flags = word();
    const token: EngineToken = { id, visible: (flags & 1) !== 0, forced: (flags & 2) !== 0 };
    if (flags & 4) {
      token.logprob = float();
      token.top = Array.from({ length: word() }, () => ({ id: word(), logprob: float() }));
    }
    return token;
  }

  function unpackTokens(end: number): EngineToken[] {
    const tokens: EngineToken[] = [];
    while (at < end) tokens.push(unpackToken());
    return tokens;
  }

  function unpackOne(kind: number, end: number): EngineEvent {
    switch (kind) {
      case 1:
        return { kind: "started", promptTokens: word(), cachedTokens: word() };
      case 2:
        return { kind: "token", lane: word(), token: unpackToken() };
      case 3: {
        const stage = word();
        const outlined = word() === 1;
        const lanes = Array.from({ length: word() }, () => {
          const lane = word();
          return { lane, title: Array.from({ length: word() }, word) };
        });
        return { kind: "stageOpened", stage, outlined, lanes };
      }
      case 4:
        return { kind: "branchClosed", lane: word(), reason: word() };
      case 5:
        return { kind: "stageClosed", stage: word() };
      case 6:
        return {
          kind: "finished",
          reason: word(),
          usage: {
            promptTokens: word(),
            completionTokens: word(),
            visibleTokens: word(),
            cachedTokens: word(),
            steps: word(),
            stages: word(),
            branches: word(),
            outlineTokens: word(),
            droppedTokens: word(),
            droppedPlan: word(),
            outlineEnds: Array.from({ length: word() }, word),
          },
        };
      case 8:
        return { kind: "released", lane: word(), tokens: unpackTokens(end) };
      case 9:
        return { kind: "branchAccepted", lane: word() };
      case 7:
        return { kind: "logits", lane: word(), index: word(), logits: floats.slice(at, end) };
      default:
        throw new Error(`unknown engine event ${kind} of ${end} words`);
    }
  }
}
