// Shared set-up of the engine's tests: engines that check their invariants, answers by lane, and
// small model folders that tests may break.
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, expect, vi } from "vitest";
import {
  type Engine,
  type EngineEvent,
  type EngineOptions,
  type EngineRequest,
  type EngineToken,
  type EngineUsage,
  type LoggedLane,
  openEngine,
  type StructureRun,
} from "../src/index.ts";

// A long timeout: on small or busy machines a slow test is not a failed test.
vi.setConfig({ testTimeout: 120_000 });

const path = (relative: string) => fileURLToPath(new URL(relative, import.meta.url));

/** A trained model that branches on comparisons and lists. */
export const small = path("../../models/small");
/** A random model of 192 tokens and 512 positions, from the oracle. */
export const tiny = path("oracle/fixtures/llama-default");

export const finish = { stop: 1, length: 2, cancelled: 3, deadline: 4 } as const;
export const close = { marker: 1, eos: 2, cap: 3 } as const;

interface Sample {
  name: string;
  prompt_ids: number[];
}
const samples = (
  JSON.parse(readFileSync(path("../../shared/fixtures/pieces.json"), "utf8")) as {
    samples: Sample[];
  }
).samples;

/** A chat prompt as token ids of the small model. */
export function prompt(name: string): number[] {
  const sample = samples.find((s) => s.name === name);
  if (!sample) throw new Error(`no sample ${name}`);
  return sample.prompt_ids;
}
export const prompts = samples.map((sample) => sample.prompt_ids);

/** One finished request, from its events. */
export interface Answer {
  events: EngineEvent[];
  /** Calls into JavaScript that contained a token of it. */
  batches: number;
  /** Tokens by lane, in order. */
  lanes: EngineToken[][];
  reason: number;
  usage: EngineUsage;
}

const code = (error: unknown): string =>
  error instanceof Error && "code" in error ? String(error.code) : `no code: ${String(error)}`;

/** The code of the error that `act` throws; "nothing" if it throws none. */
export function refusal(act: () => unknown): string {
  try {
    act();
  } catch (error) {
    return code(error);
  }
  return "nothing";
}

export interface Asked {
  id: number;
  answer: Promise<Answer>;
  /** Resolves when an event of this kind has arrived. */
  seen: (kind: EngineEvent["kind"]) => Promise<void>;
}

/** An engine on the CPU, whose results are exact to the bit. Checks all invariants after every step. */
export class Serving {
  readonly engine: Engine;
  readonly #live = new Map<number, (events: EngineEvent[]) => void>();
  readonly #broken: ((error: Error) => void)[] = [];
  #next = 1;

  constructor(options: Partial<EngineOptions> = {}) {
    this.engine = openEngine(
      { model: small, device: "cpu", kvMib: 32, threads: 1, validate: true, ...options },
      (byRequest) => {
        for (const [id, events] of byRequest) this.#live.get(id)?.(events);
      },
      (message) => {
        for (const reject of this.#broken) reject(new Error(message));
      },
    );
    opened.push(this.engine);
  }

  /** Submits a request. `onEvents` runs inside the engine's call, before anything awaits. */
  ask(
    request: Omit<EngineRequest, "id"> & { id?: number },
    onEvents?: (events: EngineEvent[], id: number) => void,
  ): Asked {
    const id = request.id ?? this.#next++;
    this.engine.submit({ ...request, id });
    return this.#follow(id, onEvents);
  }

  /** Submits requests that arrive together. */
  askGroup(
    requests: readonly Omit<EngineRequest, "id">[],
    onEvents?: (events: EngineEvent[], id: number) => void,
  ): Asked[] {
    const group = requests.map((request) => ({ ...request, id: this.#next++ }));
    this.engine.submitGroup(group);
    return group.map(({ id }) => this.#follow(id, onEvents));
  }

  #follow(id: number, onEvents?: (events: EngineEvent[], id: number) => void): Asked {
    const waiting = new Map<string, (() => void)[]>();
    const kinds = new Set<string>();
    const events: EngineEvent[] = [];
    let batches = 0;
    const answer = new Promise<Answer>((resolve, reject) => {
      this.#broken.push(reject);
      this.#live.set(id, (batch) => {
        events.push(...batch);
        if (batch.some((event) => event.kind === "token")) batches++;
        onEvents?.(batch, id);
        for (const { kind } of batch) {
          kinds.add(kind);
          for (const wake of waiting.get(kind) ?? []) wake();
          waiting.delete(kind);
        }
        const last = batch.at(-1);
        if (last?.kind !== "finished") return;
        this.#live.delete(id);
        resolve({ events, batches, lanes: byLane(events), reason: last.reason, usage: last.usage });
      });
    });
    const seen = (kind: EngineEvent["kind"]) =>
      new Promise<void>((resolve) => {
        if (kinds.has(kind)) resolve();
        else waiting.set(kind, [...(waiting.get(kind) ?? []), resolve]);
      });
    return { id, answer, seen };
  }

  answer(request: Omit<EngineRequest, "id">): Promise<Answer> {
    return this.ask(request).answer;
  }

  expectAllFree(): void {
    const load = this.engine.load();
    expect(load.kvFree).toBe(load.kvTotal);
    expect(load.running + load.queued).toBe(0);
  }
}

const opened: Engine[] = [];
const folders: string[] = [];
afterAll(() => {
  for (const engine of opened) engine.close();
  for (const folder of folders) rmSync(folder, { recursive: true });
});

export function byLane(events: readonly EngineEvent[]): EngineToken[][] {
  const lanes: EngineToken[][] = [[]];
  for (const event of events) {
    if (event.kind === "stageOpened") for (const { lane } of event.lanes) lanes[lane] = [];
    if (event.kind === "token") lanes[event.lane]?.push(event.token);
  }
  return lanes;
}

export const idsOf = (tokens: readonly EngineToken[] | undefined): number[] =>
  (tokens ?? []).map((token) => token.id);

/** Ids and log-probabilities of every lane, which must be equal to the bit. */
export const written = (answer: Answer) =>
  answer.lanes.map((lane) => lane.map((token) => [token.id, token.logprob, token.forced]));

/** The log of every lane, from which another engine can continue the answer. */
export function logOf(events: readonly EngineEvent[]): LoggedLane[] {
  const lanes = new Map<number, LoggedLane & { tokens: number[] }>();
  for (const event of events) {
    if (event.kind !== "token" && event.kind !== "branchClosed") continue;
    const log = lanes.get(event.lane) ?? { lane: event.lane, tokens: [] };
    lanes.set(event.lane, log);
    if (event.kind === "token") log.tokens.push(event.token.id);
    else log.closed = event.reason;
  }
  return [...lanes.values()];
}

/** A copy of a model folder that a test may change. */
export function folderLike(model: string, files: Record<string, string | Uint8Array> = {}): string {
  const folder = mkdtempSync(join(tmpdir(), "anabranch-model-"));
  folders.push(folder);
  cpSync(model, folder, { recursive: true });
  for (const [name, content] of Object.entries(files)) writeFileSync(join(folder, name), content);
  return folder;
}

/** Marker ids of the dialect that `branching()` gives the tiny model. */
export const markers = {
  titleOpen: 10,
  titleClose: 11,
  fork: 12,
  branchOpen: 13,
  branchClose: 14,
  join: 15,
} as const;
/** The model's own end token. */
export const eos = 2;

/** Plans and branches may be as short as tests want them. */
export const anyRoom = { min_room: 0, branch_room: 0 };

export const aspd = {
  version: 1,
  name: "aspd",
  title_open: { ids: [markers.titleOpen] },
  title_close: { ids: [markers.titleClose] },
  fork: { ids: [markers.fork] },
  opening: [{ ids: [markers.branchOpen] }, "title", { ids: [20, 21] }],
  branch_close: { ids: [markers.branchClose] },
  join: { ids: [markers.join] },
  visible: ["serial", "body"],
  resume: "sum",
  caps: { branches: 4, title_tokens: 3, branch_tokens: 12, stages: 2, ...anyRoom },
};

/**
 * The tiny random model with a dialect. It branches if a logit bias makes it, and as long as `max_tokens` has room for
 * what is forced.
 */
export const branching = (
  change: { [K in keyof typeof aspd | "index"]?: unknown } & { caps?: object } = {},
): string => {
  const caps = { ...anyRoom, ...(change.caps ?? aspd.caps) };
  return folderLike(tiny, { "aspd.json": JSON.stringify({ ...aspd, ...change, caps }) });
};

/** Biases that open a plan at once and close each title after one token. */
export const eager: readonly (readonly [number, number])[] = [
  [markers.titleOpen, 900],
  [markers.titleClose, 800],
];

export const endsWith = (ids: readonly number[], end: readonly number[]): boolean =>
  end.every((id, i) => ids[ids.length - end.length + i] === id);

/**
 * The structure of a finished answer, from its events. A plan begins with the last token of `opener`,
 * and is a run of its own; dropped plans are left out.
 * `leavesOut`: each title begins with `opener`, and a last one that opened no branch has left the context.
 * `places` names each row of the serialised form by lane and by the lane's index of the next token.
 */
export function structureOf(
  promptIds: readonly number[],
  answer: Answer,
  opener: number | readonly number[],
  leavesOut = false,
): { runs: StructureRun[]; places: string[] } {
  const runs: StructureRun[] = [];
  const places: string[] = [];
  let serial = [...promptIds];
  const before = promptIds.length;
  let serialPlaces = promptIds.map((_, i) => `0 ${i + 1 - before}`);
  let plan: number[] | undefined;
  let planPlaces: string[] = [];
  let branches: { lane: number; ids: number[] }[] = [];
  const written: number[] = [0];
  const trunk: number[] = [];
  const endSerial = () => {
    runs.push({ serial });
    places.push(...serialPlaces);
    serial = [];
    serialPlaces = [];
  };
  for (const event of answer.events) {
    if (event.kind === "token") {
      const index = (written[event.lane] ?? 0) + 1;
      written[event.lane] = index;
      const at = `${event.lane} ${index}`;
      const branch = branches.find(({ lane }) => lane === event.lane);
      if (branch) {
        branch.ids.push(event.token.id);
        continue;
      }
      trunk.push(event.token.id);
      const opens = endsWith(trunk, typeof opener === "number" ? [opener] : opener);
      if (opens && !plan) {
        plan = [];
        planPlaces = [];
      }
      if (plan && event.token.visible) plan = undefined; // serial text again: the plan was dropped
      (plan ?? serial).push(event.token.id);
      (plan ? planPlaces : serialPlaces).push(at);
    } else if (event.kind === "stageOpened") {
      endSerial();
      const last = plan?.lastIndexOf(opener as number) ?? 0;
      const titles = plan?.filter((id) => id === opener).length ?? 0;
      if (plan && leavesOut && titles > event.lanes.length) {
        const leftOut = plan.length - 1 - last; // all before the fork
        plan.splice(last, leftOut);
        planPlaces.splice(last, leftOut);
      }
      runs.push({ serial: plan ?? [] });
      places.push(...planPlaces);
      plan = undefined;
      branches = event.lanes.map(({ lane }) => ({ lane, ids: [] }));
    } else if (event.kind === "stageClosed") {
      runs.push({ parallel: branches.map(({ ids }) => ids) });
      for (const { lane, ids } of branches) places.push(...ids.map((_, i) => `${lane} ${i + 1}`));
      branches = [];
    }
  }
  endSerial();
  return { runs, places };
}

/** Expects the logits of decoding to equal those of one structured prefill, to the bit. */
export async function expectSameLogits(
  serving: Serving,
  promptIds: readonly number[],
  answer: Answer,
  opener: number | readonly number[],
  resume: "sum" | "max" = "sum",
  leavesOut = false,
): Promise<void> {
  const { runs, places } = structureOf(promptIds, answer, opener, leavesOut);
  const scored = await serving.engine.score(runs, resume, { logits: true });
  const logits = scored.logits ?? new Float32Array();
  const vocabulary = serving.engine.info().vocabulary;
  const rowOf = new Map(places.map((place, row) => [place, row]));
  const differing: string[] = [];
  let compared = 0;
  for (const event of answer.events) {
    if (event.kind !== "logits") continue;
    const row = rowOf.get(`${event.lane} ${event.index}`);
    if (row === undefined) continue; // of a dropped plan
    const want = logits.subarray(row * vocabulary, (row + 1) * vocabulary);
    compared++;
    if (Buffer.compare(bytes(event.logits), bytes(want)) !== 0) {
      differing.push(`lane ${event.lane} index ${event.index}`);
    }
  }
  expect(differing).toEqual([]);
  expect(compared).toBeGreaterThan(10);
}

const bytes = (floats: Float32Array) =>
  Buffer.from(floats.buffer, floats.byteOffset, floats.byteLength);
