// Untrusted input: the addon refuses arguments of every wrong type and shape, and nothing ends the
// process. Also runs some rounds of engine-fuzz.
import { execFile } from "node:child_process";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";
import type { EngineRequest } from "../src/index.ts";
import { branching, finish, refusal, Serving, small, tiny } from "./answers.ts";

const path = (relative: string) => fileURLToPath(new URL(relative, import.meta.url));

interface Raw {
  Engine: new (...args: unknown[]) => Record<string, (...args: unknown[]) => unknown>;
  readBandwidth(...args: unknown[]): number;
}
const addon = createRequire(import.meta.url)(path("../build/anabranch.node")) as Raw;

const hostile = new Proxy(
  {},
  {
    get(_, key) {
      throw new Error(`got ${String(key)}`);
    },
  },
);
const holes: unknown[] = [];
holes.length = 4_294_967_295;
/** A value of every JavaScript kind, and edge cases of the valid kinds. */
const strange: unknown[] = [
  ...[undefined, null, true, "", "7", "\u0000", "😀\ud800", Symbol("s"), 0n, -1n, 2n ** 64n],
  ...[0, -0, -1, 0.5, 2 ** 31, 2 ** 32, 2 ** 53, Number.NaN, Number.POSITIVE_INFINITY, -1e308],
  ...[[], [[]], [null], [-1], [0.5], ["1"], [1e300], [[1, 2, 3]], [Symbol("s")], holes],
  ...[{}, { serial: 1 }, { length: 3 }, Object.create(null), hostile, new Date(), /x/, new Map()],
  ...[new Uint32Array(0), new Uint32Array([1, 0xffffffff]), new Int8Array(3), new Float64Array(3)],
  ...[
    new Uint32Array(new SharedArrayBuffer(8)),
    new ArrayBuffer(8),
    new DataView(new ArrayBuffer(4)),
  ],
  ...[
    () => 1,
    class {},
    Promise.resolve(1),
    new WeakMap(),
    new Proxy([], {}),
    new Proxy(() => 1, {}),
  ],
];
const detached = new Uint32Array(4);
structuredClone(detached, { transfer: [detached.buffer] });
strange.push(detached);

/** `act` may throw, but only an Error. */
function survives(act: () => unknown): void {
  try {
    const given = act();
    if (given instanceof Promise) given.catch(() => {});
  } catch (error) {
    expect(error).toBeInstanceOf(Error);
  }
}

const fields: (keyof EngineRequest)[] = [
  ...(["id", "prompt", "sampling", "parallel", "maxBranches", "maxTokens", "seed"] as const),
  ...(["choice", "stopTokens", "ignoreEos", "deadlineMs", "sequential", "returnLogits"] as const),
  ...(["script", "scriptTitles", "resume", "maxTimePerTokenMs"] as const),
];
const samplingFields = [
  ...["temperature", "topP", "topK", "minP", "presencePenalty", "frequencyPenalty"],
  ...["repetitionPenalty", "logitBias", "logprobs", "topLogprobs"],
];
const runs = (value: unknown): unknown[] => [
  value,
  [value],
  [{ serial: value }],
  [{ serial: [1] }, { parallel: value }],
  [{ serial: [1] }, { parallel: [value, [1]] }],
  [{ parallel: [[1]] }, { serial: [value] }],
];

describe("the addon survives unusable arguments", () => {
  it("of the constructor", () => {
    const nothing = () => {};
    for (const value of strange) {
      survives(() => new addon.Engine(value));
      survives(() => new addon.Engine(value, value, value));
      survives(() => new addon.Engine({ model: small }, value, nothing).close?.());
      survives(() => new addon.Engine({ model: value }, nothing, nothing));
      for (const option of [
        "dtype",
        "device",
        "codePath",
        "threads",
        "kvMib",
        "maxRows",
        "maxRunning",
      ]) {
        if (value === undefined || value === null || value === "") continue; // the default
        const options = { model: tiny, kvMib: 1, threads: 1, [option]: value };
        survives(() => new addon.Engine(options, nothing, nothing).close?.());
      }
      survives(() => addon.readBandwidth(value, value, value));
      survives(() => (addon.Engine as unknown as (...args: unknown[]) => unknown)(value));
    }
  });

  it("of a request", async () => {
    const serving = new Serving({ model: branching(), kvMib: 1 });
    const engine = serving.engine as unknown as InstanceType<Raw["Engine"]>;
    let id = 1_000_000;
    const ask = (change: object) =>
      survives(() => {
        engine.submit?.({ id: ++id, prompt: [5, 6], maxTokens: 2, ...change });
        engine.cancel?.(id);
      });
    for (const value of strange) {
      survives(() => engine.submit?.(value));
      survives(() => engine.cancel?.(value));
      for (const field of fields) if (field !== "id") ask({ [field]: value });
      survives(() => engine.submit?.({ prompt: [5], maxTokens: 1, id: value }));
      for (const field of samplingFields) ask({ sampling: { [field]: value } });
      for (const script of runs(value)) ask({ script });
    }
    const answer = await serving.answer({ prompt: [5, 6, 7], maxTokens: 5, ignoreEos: true });
    expect(answer.reason).toBe(finish.length);
  });

  it("of score()", async () => {
    const serving = new Serving({ model: tiny, kvMib: 1 });
    const engine = serving.engine as unknown as InstanceType<Raw["Engine"]>;
    for (const value of strange) {
      for (const script of runs(value)) survives(() => engine.score?.(script, "sum", value));
      survives(() => engine.score?.([{ serial: [1] }], value));
    }
    const { runs: scored } = await serving.engine.score([{ serial: [5, 6, 7] }], "sum");
    expect(scored).toHaveLength(1);
  });

  it("of detached methods, and after closing", () => {
    const serving = new Serving({ model: tiny, kvMib: 1 });
    const engine = serving.engine as unknown as InstanceType<Raw["Engine"]>;
    for (const name of ["info", "submit", "cancel", "load", "score", "close"]) {
      for (const value of strange) survives(() => engine[name]?.call(value, value, value));
    }
    serving.engine.close();
    for (const name of ["info", "submit", "cancel", "load", "score", "close"]) {
      for (const value of strange) survives(() => engine[name]?.(value, value));
    }
    expect(refusal(() => serving.engine.submit({ id: 1, prompt: [5], maxTokens: 1 }))).toBe(
      "unavailable",
    );
  });
});

describe("engine-fuzz", () => {
  it("finds nothing in a hundred rounds", async () => {
    const program = path("../build/engine-fuzz");
    const { stdout } = await promisify(execFile)(program, ["--rounds", "100"]);
    expect(stdout).toMatch(/^100 rounds, .* 0 failed\n$/);
  });
});
