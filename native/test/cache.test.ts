// The prefix cache: requests with the same salt share KV, and their results stay equal to the bit.
import { describe, expect, it } from "vitest";
import type { EngineRequest, StructureRun } from "../src/index.ts";
import {
  type Answer,
  idsOf,
  prompt,
  prompts,
  Serving,
  small,
  structureOf,
  tiny,
  written,
} from "./answers.ts";

const blockTokens = 16;
const salt = (name: string) => new TextEncoder().encode(name);
const whole = (tokens: number) => Math.floor(tokens / blockTokens) * blockTokens;
/** The last prompt token is always forwarded: the first token is sampled from its logits. */
const hits = (promptTokens: number) => whole(promptTokens - 1);

const compare = prompt("compare-cities");
const logprobs = { logprobs: true };

/** The small model's title marker, taken from its first plan. */
function titleOpenOf(answer: Answer): number {
  const hidden = answer.lanes[0]?.find((token) => !token.visible);
  if (!hidden) throw new Error("no plan in this answer");
  return hidden.id;
}

/** The answer of an engine with an empty cache. */
async function fresh(request: Omit<EngineRequest, "id">): Promise<Answer> {
  const serving = new Serving();
  const answer = await serving.answer(request);
  serving.engine.close();
  return answer;
}

describe("the same prompt again", () => {
  it("finds its full blocks under the same salt only, and gives the same answer", async () => {
    const serving = new Serving();
    const ask = (cacheSalt?: Uint8Array) =>
      serving.answer({
        prompt: compare,
        parallel: true,
        maxTokens: 300,
        sampling: logprobs,
        ...(cacheSalt ? { cacheSalt } : {}),
      });
    const first = await ask(salt("a"));
    expect(first.usage.cachedTokens).toBe(0);
    const second = await ask(salt("a"));
    expect(second.usage.cachedTokens).toBe(hits(compare.length));
    expect(second.usage.cachedTokens).toBeGreaterThan(0);
    const started = second.events.find((event) => event.kind === "started");
    expect(started).toMatchObject({ cachedTokens: hits(compare.length) });
    expect(written(second)).toEqual(written(first));
    for (const other of [await ask(salt("b")), await ask(), await ask(new Uint8Array())]) {
      expect(other.usage.cachedTokens).toBe(0);
      expect(written(other)).toEqual(written(first));
    }
    expect(serving.engine.load()).toMatchObject({
      promptTokens: 5 * compare.length,
      cachedTokens: hits(compare.length),
    });
    serving.expectAllFree();
  });

  it("a prompt that differs in one token finds only the blocks before it", async () => {
    const serving = new Serving({ model: tiny });
    const ids = Array.from({ length: 100 }, (_, i) => 30 + i);
    const ask = (prompt: number[]) =>
      serving.answer({ prompt, maxTokens: 1, cacheSalt: salt("a") });
    await ask(ids);
    for (const at of [0, 15, 16, 40, 99]) {
      const { usage } = await ask(ids.map((id, i) => (i === at ? id + 1 : id)));
      expect(usage.cachedTokens, String(at)).toBe(Math.min(whole(at), hits(100)));
    }
  });

  it("several choices of one prompt prefill it once", async () => {
    const serving = new Serving();
    const answers = await Promise.all(
      [0, 1, 2, 3].map((choice) =>
        serving.answer({
          prompt: compare,
          choice,
          seed: 5,
          maxTokens: 40,
          sampling: { temperature: 1 },
          cacheSalt: salt("a"),
        }),
      ),
    );
    expect(answers.map(({ usage }) => usage.cachedTokens)).toEqual([
      0,
      ...new Array(3).fill(hits(compare.length)),
    ]);
    expect(serving.engine.load().prefillRows).toBe(4 * compare.length - 3 * hits(compare.length));
    for (const [choice, answer] of answers.entries()) {
      const alone = await fresh({
        prompt: compare,
        choice,
        seed: 5,
        maxTokens: 40,
        sampling: { temperature: 1 },
      });
      expect(written(answer)).toEqual(written(alone));
    }
  });
});

describe("structured prompts", () => {
  const ids = (first: number, length: number) => Array.from({ length }, (_, i) => first + i);
  const trunk = ids(30, 32);
  const group = [ids(70, 32), ids(110, 16)];
  const tail = ids(130, 33);
  const runs = (change: { trunk?: number[]; group?: number[][] } = {}): StructureRun[] => [
    { serial: change.trunk ?? trunk },
    { parallel: change.group ?? group },
    { serial: tail },
  ];

  it("share KV of the same context and positions only", async () => {
    const serving = new Serving({ model: tiny });
    const cached = async (prompt: readonly StructureRun[], resume: "sum" | "max" = "sum") => {
      const request = { prompt, resume, maxTokens: 4, sampling: logprobs };
      const shared = await serving.answer({ ...request, cacheSalt: salt("a") });
      expect(written(shared)).toEqual(written(await serving.answer(request)));
      return shared.usage.cachedTokens;
    };
    expect(await cached(runs())).toBe(0);
    expect(await cached(runs())).toBe(32 + 48 + 32);
    expect(await cached(runs(), "max")).toBe(32 + 48); // the tail has another position
    expect(await cached(runs({ trunk: ids(31, 32) }))).toBe(0); // other KV under the same branches
    const changed = [ids(71, 32), group[1] as number[]];
    expect(await cached(runs({ group: changed }))).toBe(32 + 16); // the sibling is not seen
    expect(await cached(runs({ group: [...group].reverse() }))).toBe(32 + 48);
    const asText = [{ serial: [...trunk, ...group.flat(), ...tail] }];
    expect(await cached(asText)).toBe(32);
    const asRuns = [{ serial: trunk }, { serial: group[0] as number[] }, { serial: tail }];
    expect(await cached(asRuns)).toBe(32 + 32); // the same context, whatever it is called
    serving.expectAllFree();
  });
});

describe("a conversation", () => {
  const question = prompt("two-stages");

  it("continues from the KV of a branching answer that is sent back with its structure", async () => {
    const serving = new Serving();
    const first = await serving.answer({
      prompt: compare,
      parallel: true,
      maxTokens: 640,
      cacheSalt: salt("a"),
    });
    expect(first.usage.branches).toBeGreaterThan(1);
    const { runs } = structureOf(compare, first, titleOpenOf(first));
    const last = runs.at(-1) as { serial: number[] };
    const history: StructureRun[] = [
      ...runs.slice(0, -1),
      { serial: [...last.serial, ...question] },
    ];
    const request = { prompt: history, parallel: true, maxTokens: 200, sampling: logprobs };
    const second = await serving.answer({ ...request, cacheSalt: salt("a") });
    // Every run is a segment, and its full blocks are found. The last token was never forwarded.
    const found = runs.flatMap((run) => ("serial" in run ? [run.serial] : run.parallel));
    expect(second.usage.cachedTokens).toBe(
      found.reduce(
        (sum, tokens, i) => sum + whole(tokens.length - (i === found.length - 1 ? 1 : 0)),
        0,
      ),
    );
    expect(written(second)).toEqual(written(await fresh(request)));

    // The same tokens as plain text have another context, so KV of a branch must not be used for them.
    const plain = found.flat();
    const serial = await serving.answer({
      prompt: [...plain, ...question],
      maxTokens: 20,
      sampling: logprobs,
      cacheSalt: salt("a"),
    });
    expect(serial.usage.cachedTokens).toBe(whole(found[0]?.length ?? 0));
    expect(written(serial)).toEqual(
      written(await fresh({ prompt: [...plain, ...question], maxTokens: 20, sampling: logprobs })),
    );
    serving.expectAllFree();
  });

  it("continues from a serial answer that is sent back as plain text", async () => {
    const serving = new Serving();
    const first = await serving.answer({
      prompt: compare,
      maxTokens: 60,
      ignoreEos: true,
      cacheSalt: salt("a"),
    });
    const text = idsOf(first.lanes[0]);
    const second = await serving.answer({
      prompt: [...compare, ...text, ...question],
      maxTokens: 20,
      cacheSalt: salt("a"),
    });
    // The last token was written and never forwarded.
    expect(second.usage.cachedTokens).toBe(whole(compare.length + text.length - 1));
  });
});

describe("eviction", () => {
  it("unused cached blocks count as free, and the least recently used one is evicted first", async () => {
    const serving = new Serving({ model: tiny, kvMib: 0.25 });
    const { kvTotal } = serving.engine.load();
    const tokens = Math.floor(kvTotal / 3) * blockTokens;
    const ids = (first: number) => Array.from({ length: tokens }, (_, i) => (first + i) % 190);
    const ask = async (first: number) =>
      (await serving.answer({ prompt: ids(first), maxTokens: 1, cacheSalt: salt("a") })).usage
        .cachedTokens;
    expect(await ask(1)).toBe(0);
    expect(await ask(2)).toBe(0);
    const load = serving.engine.load();
    expect(load.kvFree).toBe(kvTotal);
    expect(load.kvCached).toBe(2 * (tokens / blockTokens));
    expect(await ask(1)).toBe(tokens - blockTokens);
    expect(await ask(3)).toBe(0);
    expect(await ask(4)).toBe(0); // takes the place of 2
    expect(await ask(1)).toBe(tokens - blockTokens);
    expect(await ask(2)).toBeLessThan(tokens - blockTokens);
    serving.expectAllFree();
  });

  it("many conversations at once give the same bits as each alone", async () => {
    const requests = prompts.flatMap((prompt, i) =>
      [1, 2].map((seed) => ({
        prompt,
        seed,
        parallel: i % 3 !== 0,
        maxTokens: 120,
        sampling: { temperature: 0.8, ...logprobs },
      })),
    );
    const serving = new Serving({ model: small, prefillRows: 24 });
    const together = await Promise.all(
      [...requests, ...requests].map((request) =>
        serving.answer({ ...request, cacheSalt: salt("a") }),
      ),
    );
    const alone = new Serving({ prefillRows: 7 });
    for (const [i, request] of requests.entries()) {
      const expected = written(await alone.answer(request));
      expect(written(together[i] as Answer)).toEqual(expected);
      expect(written(together[i + requests.length] as Answer)).toEqual(expected);
    }
    expect(serving.engine.load().cachedTokens).toBeGreaterThan(0);
    serving.expectAllFree();
  });
});
