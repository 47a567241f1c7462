// The engine as TypeScript sees it: the addon, its types, and its events unpacked.
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";

/**
 * Tokens with their lane structure. In scripts `openings` tell how many tokens at each branch's start
 * open it: then fork and join take one step each, as a dialect's do.
 */
export type StructureRun =
  | { serial: readonly number[] }
  | { parallel: readonly (readonly number[])[]; openings?: readonly number[] };

/** The same shape, each token's log-probability in its place; null for the first of every run. */
export type ScoredRun = { serial: (number | null)[] } | { parallel: (number | null)[][] };

export type Resume = "sum" | "max";

/** How weights are kept; int8 and fp8 are made from any checkpoint. */
export const dtypes = ["bf16", "int8", "fp8", "fp32"] as const;
export type Dtype = (typeof dtypes)[number];

/** The dtype of this name, if there is one. */
export function dtypeOf(name: string): Dtype | undefined {
  return dtypes.find((each) => each === name);
}

export interface EngineOptions {
  /** A folder in Hugging Face format. */
  model: string;
  /** A dialect as JSON, in place of the folder's aspd.json. */
  dialect?: string;
  /** Of the weights; absent: bf16. A CPU has no fp8, a GPU no fp32. */
  dtype?: Dtype;
  /** Of K and V; absent: auto, bf16, beside fp32 weights fp32. A CPU has no fp8. */
  kvDtype?: "auto" | "fp8";
  /** "cpu", "cuda:N", or "auto" (absent, too): a GPU where this build and a driver have one. */
  device?: string;
  /** 0 or absent: one a core. */
  threads?: number;
  /**
   * Memory for KV. 0 or absent: on a GPU nine tenths of what is free, else a quarter, 1 GiB at the
   * most.
   */
  kvMib?: number;
  /** Rows that one step takes; 0 or absent: what the backend thinks best. */
  maxRows?: number;
  /** On a GPU: the same bits whatever else is in the batch, at the price of speed; a CPU always is. */
  deterministic?: boolean;
  /** One of codePaths(); absent: the best. */
  codePath?: string;
  maxRunning?: number;
  maxQueue?: number;
  /** Prompt tokens that one step takes; 0 or absent: what the backend thinks best. */
  prefillRows?: number;
  /**
   * Tokens are told so long after the last ones, or later; what begins or ends at once. 0 or absent:
   * every step. A small model's step is shorter than what listening to it costs.
   */
  flushIntervalMs?: number;
  /** Check every invariant after every step (tests). */
  validate?: boolean;
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
  /** Token ids, or runs where it holds answers with structure; the first and the last are serial. */
  prompt: readonly number[] | Uint32Array | readonly StructureRun[];
  /** In a prompted dialect, where the request may branch. */
  plan?: PlanPrompt;
  sampling?: Sampling;
  parallel?: boolean;
  maxBranches?: number;
  maxTokens?: number;
  seed?: bigint | number;
  choice?: number;
  stopTokens?: readonly number[];
  ignoreEos?: boolean;
  deadlineMs?: number;
  /** Higher goes first, and keeps its KV where there is too little; -1000 to 1000, default 0. */
  priority?: number;
  /** KV of equal prefixes is shared within one salt; absent or empty: not at all. */
  cacheSalt?: Uint8Array;
  /** An answer begun elsewhere, to its last whole step: it is told once more, and goes on. */
  log?: readonly LoggedLane[];
  /** Debugging: siblings are decoded one after another, and nothing is guessed. */
  sequential?: boolean;
  /** Debugging: raw logits of every chosen token. */
  returnLogits?: boolean;
  /** Given structure and tokens instead of chosen ones; the first run begins with the prompt. */
  script?: readonly StructureRun[];
  /** In scripts: what a plan's titles begin and end with; these are guessed as where a dialect is decoded. */
  scriptTitles?: { open: readonly number[]; close: readonly number[] };
  /** Where the trunk goes on after the prompt's and the script's groups: default as the dialect. */
  resume?: Resume;
}

/**
 * How a plan is asked for where the dialect is prompted: these ids stand in place of what comes after the
 * first `at` tokens of the prompt's last run, which follows where the plan is dropped.
 */
export interface PlanPrompt {
  at: number;
  ids: readonly number[];
}

/** A lane of an answer begun elsewhere, as far as it was told. */
export interface LoggedLane {
  lane: number;
  tokens: readonly number[] | Uint32Array;
  /** A branch's CloseReason in generate.proto, where its end was told. */
  closed?: number;
}

export interface EngineInfo {
  backend: string;
  digest: string;
  dialect: string;
  vocabulary: number;
  context: number;
  weightBytes: number;
}

export interface EngineLoad {
  running: number;
  queued: number;
  liveLanes: number;
  /** Blocks that can be had, those of the prefix cache among them. */
  kvFree: number;
  /** Free blocks whose content is still known. */
  kvCached: number;
  kvTotal: number;
  steps: number;
  decodeRows: number;
  prefillRows: number;
  /** Steps without prefill rows, and the time they took. */
  decodeSteps: number;
  decodeSeconds: number;
  /** Time of the steps with prefill rows. */
  prefillSeconds: number;
  /** Weights and KV, each counted once a step. */
  bytesRead: number;
  preemptions: number;
  /** Of admitted requests, and those of them that the prefix cache had. */
  promptTokens: number;
  cachedTokens: number;
  /** Requests that ended, however. */
  finished: number;
  /** Estimate for a request that is queued now. */
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
}

export interface EngineToken {
  id: number;
  visible: boolean;
  forced: boolean;
  /**
   * It may be the beginning of a marker, or visible text: text when it is released or when its branch or
   * the answer ends, a marker's when a token of its lane comes that is not held.
   */
  held: boolean;
  logprob?: number;
  top?: { id: number; logprob: number }[];
}

/** Values are those of FinishReason and CloseReason in generate.proto. */
export type EngineEvent =
  | { kind: "started"; promptTokens: number; cachedTokens: number }
  | { kind: "token"; lane: number; token: EngineToken }
  | {
      kind: "stageOpened";
      stage: number;
      parentLane: number;
      lanes: { lane: number; title: number[] }[];
    }
  | { kind: "branchClosed"; lane: number; reason: number }
  | { kind: "stageClosed"; stage: number }
  /** The first `count` of the tokens that the lane holds back are visible text. */
  | { kind: "released"; lane: number; count: number }
  | { kind: "finished"; reason: number; usage: EngineUsage }
  | { kind: "logits"; lane: number; index: number; logits: Float32Array };

export interface Engine {
  info(): EngineInfo;
  /**
   * Throws an Error with `code` (a gRPC status name) where the request can't be served; with
   * `retryAfterSeconds`, an estimate, where the queue is full.
   */
  submit(request: EngineRequest): void;
  cancel(id: number): void;
  load(): EngineLoad;
  /** Throws as submit does; rejects where the engine closes first. */
  score(
    runs: readonly StructureRun[],
    resume: Resume,
    wantLogits?: boolean,
  ): Promise<{ runs: ScoredRun[]; logits?: Float32Array }>;
  /** Cancels everything and joins the engine thread. */
  close(): void;
}

interface Addon {
  Engine: new (
    options: EngineOptions,
    onEvents: (words: Uint32Array) => void,
    onFault: (message: string) => void,
  ) => Engine;
  codePaths(): string[];
  cudaDevices(): number;
  readBandwidth(threads: number, mib: number, passes: number): number;
}

const addonPath = fileURLToPath(new URL("../build/anabranch.node", import.meta.url));
const addon = createRequire(import.meta.url)(addonPath) as Addon;

/** Instruction-set paths this CPU runs, best first. */
export const codePaths = (): string[] => addon.codePaths();

/** How many GPUs this build can use; -1 where it was made without CUDA. */
export const cudaDevices = (): number => addon.cudaDevices();

/**
 * Bytes a second that `threads` threads read from `mib` MiB of memory: the best of `passes`.
 * Blocks until it is done.
 */
export const readBandwidth = (threads: number, mib: number, passes: number): number =>
  addon.readBandwidth(threads, mib, passes);

/**
 * Loads a model and starts its engine thread.
 * @param onEvents at most one call a step, with the events since the last one by request
 * @param onFault the engine has failed and serves no more
 * @throws Error with `code`, naming the file and field, or the option
 */
export function openEngine(
  options: EngineOptions,
  onEvents: (events: Map<number, EngineEvent[]>) => void,
  onFault: (message: string) => void = (message) => {
    throw new Error(`engine: ${message}`);
  },
): Engine {
  return new addon.Engine(options, (words) => onEvents(unpack(words)), onFault);
}

/** The buffer of one call (layout: native/engine/events.h) as events by request, in order. */
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
    const event = unpackOne(kind, end, word, float, () => floats.slice(at, end));
    at = end;
    const list = out.get(request);
    if (list) list.push(event);
    else out.set(request, [event]);
  }
  return out;

  function unpackOne(
    kind: number,
    end: number,
    word: () => number,
    float: () => number,
    rest: () => Float32Array,
  ): EngineEvent {
    switch (kind) {
      case 1:
        return { kind: "started", promptTokens: word(), cachedTokens: word() };
      case 2: {
        const lane = word();
        const id = word();
        const flags = word();
        const token: EngineToken = {
          id,
          visible: (flags & 1) !== 0,
          forced: (flags & 2) !== 0,
          held: (flags & 8) !== 0,
        };
        if (flags & 4) {
          token.logprob = float();
          token.top = Array.from({ length: word() }, () => ({ id: word(), logprob: float() }));
        }
        return { kind: "token", lane, token };
      }
      case 3: {
        const stage = word();
        const parentLane = word();
        const lanes = Array.from({ length: word() }, () => {
          const lane = word();
          return { lane, title: Array.from({ length: word() }, word) };
        });
        return { kind: "stageOpened", stage, parentLane, lanes };
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
          },
        };
      case 8:
        return { kind: "released", lane: word(), count: word() };
      case 7:
        return { kind: "logits", lane: word(), index: word(), logits: rest() };
      default:
        throw new Error(`unknown engine event ${kind} of ${end} words`);
    }
  }
}
