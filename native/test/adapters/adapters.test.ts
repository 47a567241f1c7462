// LoRA adapters against PEFT (make_fixtures.py), and beside each other and the base model: no request's
// result depends on which adapters are loaded or in the batch.
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import {
  codePaths,
  type EngineOptions,
  type Resume,
  type Sampling,
  type StructureRun,
} from "../../src/index.ts";
import {
  aspd,
  eager,
  finish,
  folderLike,
  idsOf,
  logOf,
  markers,
  refusal,
  Serving,
  tiny,
  written,
} from "../answers.ts";
import { nmse, parts, readLogits } from "../logits.ts";

interface Case {
  base: string;
  vocabulary: number;
  resume: Resume;
  groups: StructureRun[];
}

const path = (relative: string) => fileURLToPath(new URL(relative, import.meta.url));
const fixture = (name: string) => path(`fixtures/${name}`);
const baseOf = (name: string) => path(`../oracle/fixtures/${name}`);
const names = readdirSync(path("fixtures"));
const caseOf = (name: string) =>
  JSON.parse(readFileSync(`${fixture(name)}/case.json`, "utf8")) as Case;

/** The adapters are large, so that a wrong one shows, and amplify the base model's rounding. */
const bounds = { fp32: 1e-8, bf16: 2e-3, int8: 4e-2 } as const;

describe.each(names)("PEFT: %s", (name) => {
  const { base, vocabulary, resume, groups } = caseOf(name);
  const want = readLogits(`${fixture(name)}/logits.safetensors`);
  for (const codePath of codePaths()) {
    it.each(["fp32", "bf16", "int8"] as const)(`${codePath} %s`, async (dtype) => {
      const serving = new Serving({
        ...{ model: baseOf(base), codePath, dtype, threads: 3 },
        adapters: [{ name, path: fixture(name) }],
      });
      expect(serving.engine.adapters()).toMatchObject([{ name, vocabulary }]);
      const { logits } = await serving.engine.score(groups, resume, {
        logits: true,
        adapter: name,
      });
      if (!logits) throw new Error("no logits");
      for (const { name: part, from, to } of parts(groups)) {
        const [first, last] = [from * vocabulary, to * vocabulary];
        const error = nmse(logits.subarray(first, last), want.subarray(first, last));
        expect(error, part).toBeLessThan(bounds[dtype]);
      }
    });
  }
});

const trio = ["every-module", "attention", "added-tokens"];
const trioSources = trio.map((name) => ({ name, path: fixture(name) }));
const seeded: Sampling = { temperature: 0.9, logprobs: true, topLogprobs: 3 };
const promptIds = [1, 33, 84, 120, 7, 61, 99, 15, 27, 140, 3, 71, 18, 45, 62, 90, 101, 55, 66, 77];

const ask = (adapter: string | undefined, index = 0) => ({
  prompt: [...promptIds, 20 + index],
  sampling: seeded,
  seed: 7 + index,
  maxTokens: 40,
  ignoreEos: true,
  cacheSalt: Uint8Array.of(1),
  ...(adapter !== undefined && { adapter }),
});

describe.each(codePaths())("company, %s", (codePath) => {
  it.each(["fp32", "bf16", "int8", "int4"] as const)(
    "%s: the base and each adapter give the bits that they give alone",
    async (dtype) => {
      const options: Partial<EngineOptions> = { model: tiny, codePath, dtype };
      const plain = new Serving(options);
      const loaded = new Serving({ ...options, adapters: trioSources });
      const want = written(await plain.answer(ask(undefined)));
      expect(written(await loaded.answer(ask(undefined))), "adapters loaded").toEqual(want);
      const alone = new Map<string | undefined, unknown>([[undefined, want]]);
      for (const name of trio) alone.set(name, written(await loaded.answer(ask(name))));
      expect(new Set([...alone.values()].map((each) => JSON.stringify(each))).size).toBe(4);

      // Other batches, other chunks, another number of threads.
      const crowd = new Serving({
        ...{ ...options, adapters: trioSources },
        ...{ threads: 3, prefillRows: 7, maxRows: 256 },
      });
      const who = [undefined, ...trio];
      const others = Array.from({ length: 12 }, (_, i) => crowd.answer(ask(who[i % 4], i + 1)));
      const together = await Promise.all(
        who.map(async (name) => [name, written(await crowd.answer(ask(name)))] as const),
      );
      await Promise.all(others);
      for (const [name, got] of together) expect(got, name ?? "base").toEqual(alone.get(name));
      crowd.expectAllFree();
    },
  );
});

describe("state", () => {
  it("the prefix cache keeps adapters and the base apart", async () => {
    const serving = new Serving({ model: tiny, adapters: trioSources });
    const cached = async (name?: string) => (await serving.answer(ask(name))).usage.cachedTokens;
    expect(await cached()).toBe(0);
    for (const name of trio) expect(await cached(name), name).toBe(0);
    expect(await cached()).toBe(16);
    for (const name of trio) expect(await cached(name), name).toBe(16);
    serving.engine.unloadAdapter("attention");
    await serving.engine.loadAdapter({ name: "attention", path: fixture("every-module") });
    expect(await cached("attention"), "other weights under the same name").toBe(0);
  });

  it("preempted requests continue with their adapter", async () => {
    const calm = new Serving({ model: tiny, adapters: trioSources });
    const who = [undefined, ...trio, undefined, ...trio];
    const asked = (name: string | undefined, i: number) => ({
      ...ask(name, i),
      maxTokens: 110,
      cacheSalt: Uint8Array.of(i),
    });
    const want: unknown[] = [];
    for (const [i, name] of who.entries()) want.push(written(await calm.answer(asked(name, i))));
    // 2 layers of K and V for 2 heads of 16 values in bf16: 4 KiB a block of 16 tokens.
    const tight = new Serving({ model: tiny, adapters: trioSources, kvMib: 0.14 });
    const answers = await Promise.all(who.map((name, i) => tight.answer(asked(name, i))));
    expect(tight.engine.load().preemptions).toBeGreaterThan(0);
    answers.forEach((answer, i) => {
      expect(written(answer), `${i}`).toEqual(want[i]);
    });
    tight.expectAllFree();
  });

  it("an answer resumes with its adapter from its log", async () => {
    const serving = new Serving({ model: tiny, adapters: trioSources });
    for (const adapter of [undefined, ...trio]) {
      const request = { ...ask(adapter), sampling: { temperature: 0.9 } };
      const whole = await serving.answer(request);
      const [log] = logOf(whole.events);
      if (!log) throw new Error("no log");
      const begun = [{ ...log, tokens: [...log.tokens].slice(0, 11) }];
      const resumed = await serving.answer({ ...request, log: begun });
      expect(idsOf(resumed.lanes[0])).toEqual(idsOf(whole.lanes[0]));
    }
  });

  it("adapters come and go while requests run, and none is lost", async () => {
    const serving = new Serving({ model: tiny, adapters: trioSources });
    const want = new Map<string | undefined, unknown>();
    for (const name of [undefined, ...trio]) {
      want.set(name, written(await serving.answer({ ...ask(name), maxTokens: 300 })));
    }
    const running = Array.from({ length: 12 }, (_, i) => {
      const name = [undefined, ...trio][i % 4];
      return { name, ...serving.ask({ ...ask(name), maxTokens: 300 }) };
    });
    await Promise.all(running.map(({ seen }) => seen("token")));
    for (const name of trio) serving.engine.unloadAdapter(name);
    for (const name of trio) expect(refusal(() => serving.ask(ask(name)))).toBe("not_found");
    expect(serving.engine.adapters()).toEqual([]);
    await Promise.all(trioSources.map((source) => serving.engine.loadAdapter(source)));
    const later = trio.map((name) => ({ name, ...serving.ask({ ...ask(name), maxTokens: 300 }) }));
    for (const { name, answer } of [...running, ...later]) {
      const got = await answer;
      expect(got.reason).toBe(finish.length);
      expect(written(got), name ?? "base").toEqual(want.get(name));
    }
    serving.expectAllFree();
  });

  it("digests tell adapters, bases and dialects apart", async () => {
    const digests = async (model: string, dtype: "bf16" | "int8") => {
      const { engine } = new Serving({ model, dtype, adapters: trioSources });
      return [engine.info().digest, ...engine.adapters().map(({ digest }) => digest)];
    };
    const dialect = folderLike(fixture("attention"), { "aspd.json": JSON.stringify(aspd) });
    const { engine } = new Serving({ model: tiny, adapters: [{ name: "d", path: dialect }] });
    const all = [
      ...(await digests(tiny, "bf16")),
      ...(await digests(tiny, "int8")),
      ...engine.adapters().map(({ digest }) => digest),
    ];
    expect(new Set(all).size).toBe(9);
    expect(await digests(tiny, "bf16")).toEqual(all.slice(0, 4));
  });
});

describe("dialect", () => {
  const branchy = folderLike(fixture("every-module"), { "aspd.json": JSON.stringify(aspd) });
  const request = {
    ...ask(undefined),
    parallel: true,
    maxTokens: 80,
    sampling: { logprobs: true, logitBias: [...eager] },
  };

  it("belongs to the request's adapter", async () => {
    const plain = new Serving({ model: tiny });
    const serving = new Serving({ model: tiny, adapters: [{ name: "branchy", path: branchy }] });
    expect(serving.engine.info().dialect).toBe("");
    expect(serving.engine.adapters()[0]?.dialect).toBe("aspd");
    const [base, adapted] = await Promise.all([
      serving.answer(request),
      serving.answer({ ...request, adapter: "branchy" }),
    ]);
    expect(base.usage.stages).toBe(0);
    expect(written(base)).toEqual(written(await plain.answer(request)));
    expect(adapted.usage.branches).toBeGreaterThanOrEqual(2);
    expect(idsOf(adapted.lanes[0])).toContain(markers.fork);
    serving.expectAllFree();
  });

  it("may leave answers that can't branch to the base, to the bit", async () => {
    const dialect = JSON.stringify({ ...aspd, serial: "base" });
    const path = folderLike(fixture("every-module"), { "aspd.json": dialect });
    const serving = new Serving({
      ...{
        model: tiny,
        adapters: [
          { name: "own", path: branchy },
          { name: "lent", path },
        ],
      },
    });
    const serial = { ...request, parallel: false };
    const of = async (adapter: string | undefined, asked = serial) =>
      written(await serving.answer({ ...asked, ...(adapter && { adapter }) }));
    expect(await of("lent")).toEqual(await of(undefined));
    expect(await of("own")).not.toEqual(await of(undefined));
    expect(await of("lent", request)).toEqual(await of("own", request));
    serving.expectAllFree();
  });

  it("of the model holds where an adapter has none", async () => {
    const model = folderLike(tiny, { "aspd.json": JSON.stringify(aspd) });
    const serving = new Serving({ model, adapters: trioSources });
    const answer = await serving.answer({ ...request, adapter: "attention" });
    expect(answer.usage.branches).toBeGreaterThanOrEqual(2);
  });
});

describe("refused by name", () => {
  const { engine } = new Serving({ model: tiny });
  const config = (name: string) =>
    JSON.parse(readFileSync(`${fixture(name)}/adapter_config.json`, "utf8")) as object;
  const weights = (name: string) => readFileSync(`${fixture(name)}/adapter_model.safetensors`);
  const load = (files: Record<string, string | Uint8Array>, name = "every-module") =>
    engine.loadAdapter({ name: "a", path: folderLike(fixture(name), files) });
  const changed = (change: object) => ({
    "adapter_config.json": JSON.stringify({ ...config("every-module"), ...change }),
  });

  it.each([
    [{ peft_type: "IA3" }, "peft_type"],
    [{ use_dora: true }, "use_dora"],
    [{ fan_in_fan_out: true }, "fan_in_fan_out"],
    [{ lora_bias: true }, "lora_bias"],
    [{ bias: "all" }, "bias"],
    [{ init_lora_weights: "pissa" }, "init_lora_weights"],
    [{ layer_replication: [[0, 1]] }, "layer_replication"],
    [{ target_parameters: ["mlp.experts"] }, "target_parameters"],
    [{ some_new_feature: { on: true } }, "some_new_feature"],
    [{ modules_to_save: ["norm"] }, "modules_to_save"],
    [{ trainable_token_indices: { norm: [1] } }, "trainable_token_indices"],
    [{ trainable_token_indices: [500] }, "trainable_tokens_delta"],
    [{ r: 0 }, '"r"'],
    [{ r: 3 }, "lora_A.weight"],
    [{ rank_pattern: { "(": 2 } }, "rank_pattern"],
    [{ rank_pattern: { k_proj: 1 } }, "k_proj.lora_A.weight"],
    [{ lora_alpha: "8" }, "lora_alpha"],
    [{ target_modules: ["q_proj"] }, "lora_"],
    [{ target_modules: "[" }, "target_modules"],
    [{ target_modules: ["q_proj", "lm_head"] }, "lora_"],
  ])("%j", async (change, named) => {
    await expect(load(changed(change))).rejects.toThrow(named);
    await expect(load(changed(change))).rejects.toMatchObject({ code: "failed_precondition" });
    expect(engine.adapters()).toEqual([]);
  });

  it("a regular expression that backtracks without end", async () => {
    const hostile = changed({ target_modules: `(${"(a|a)*".repeat(20)}|.*)*x` });
    await expect(load(hostile)).rejects.toThrow("lora_");
  });

  it("broken weights", async () => {
    const whole = weights("every-module");
    const at = (bytes: Uint8Array) => ({ "adapter_model.safetensors": bytes });
    const long = Uint8Array.from(whole);
    long.fill(0xff, 0, 8);
    for (const bytes of [
      whole.subarray(0, 4),
      whole.subarray(0, 900),
      whole.subarray(0, -1),
      long,
    ]) {
      await expect(load(at(bytes))).rejects.toThrow("adapter_model.safetensors");
    }
    const header = Number(whole.readBigUInt64LE(0));
    const renamed = (from: string, to: string) => {
      const text = whole
        .subarray(8, 8 + header)
        .toString()
        .replace(from, to);
      return at(
        Buffer.concat([whole.subarray(0, 8), Buffer.from(text), whole.subarray(8 + header)]),
      );
    };
    await expect(
      load(renamed("layers.0.mlp.up_proj.lora_A", "layers.7.mlp.up_proj.lora_A")),
    ).rejects.toThrow("layers.0.mlp.up_proj.lora_A.weight");
    await expect(load(renamed('"F32"', '"I32"'))).rejects.toThrow("I32");
    await expect(load(renamed("[2,80]", "[80,2]"))).rejects.toThrow("has shape [80, 2]");
  });

  it("another model's adapter, and none at all", async () => {
    await expect(load({}, "rank-patterns")).rejects.toThrow("has shape");
    const source = { name: "a", path: path("no-such-folder") };
    await expect(engine.loadAdapter(source)).rejects.toThrow("no-such-folder");
    await expect(engine.loadAdapter({ name: "a", path: tiny })).rejects.toThrow(
      "adapter_config.json",
    );
    const many = engine.loadAdapter({ name: "a", path: fixture("attention"), tokens: 193 });
    await expect(many).rejects.toThrow("193 tokens");
    await engine.loadAdapter({ name: "twice", path: fixture("attention") });
    const again = engine.loadAdapter({ name: "twice", path: fixture("attention") });
    await expect(again).rejects.toMatchObject({ code: "invalid_argument" });
    engine.unloadAdapter("twice");
    expect(refusal(() => engine.unloadAdapter("twice"))).toBe("not_found");
  });
});
