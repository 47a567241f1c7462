// Requests that arrive together, as the branches of one answer: all or none, the common beginning once.
import { describe, expect, it } from "vitest";
import type { EngineRequest } from "../src/index.ts";
import { refusal, Serving, tiny, written } from "./answers.ts";

const blockTokens = 16;
const cacheSalt = new TextEncoder().encode("a tenant");

/** Ids of a shared beginning, and one of its own for each request. */
const shared = Array.from({ length: 100 }, (_, i) => 30 + (i % 100));
const group = (count: number, fields: object = {}): Omit<EngineRequest, "id">[] =>
  Array.from({ length: count }, (_, i) => ({
    prompt: [...shared, ...Array.from({ length: 5 + i }, (_, at) => 20 + i + at)],
    ...{ maxTokens: 12, seed: 4, cacheSalt, ignoreEos: true },
    sampling: { temperature: 1, logprobs: true },
    ...fields,
  }));

describe("a group", () => {
  it("computes the whole blocks of its common beginning once", async () => {
    const serving = new Serving({ model: tiny });
    const requests = group(6);
    await Promise.all(serving.askGroup(requests).map(({ answer }) => answer));
    const { prefillRows } = serving.engine.load();
    const own = requests.map(({ prompt }) => prompt.length - shared.length);
    const unshared = shared.length % blockTokens;
    const rows = own.reduce((sum, each) => sum + each + unshared, 0);
    expect(prefillRows).toBe(shared.length - unshared + rows);
    serving.expectAllFree();
  });

  it("gives what its requests give one after another, also without room for all", async () => {
    const alone = new Serving({ model: tiny });
    const requests = group(8);
    const expected: unknown[] = [];
    for (const request of requests) {
      const { cacheSalt: _, ...unsalted } = request;
      expected.push(written(await alone.answer(unsalted)));
    }
    for (const options of [{}, { maxRunning: 3 }, { kvMib: 0.05 }, { maxQueue: 1 }]) {
      const serving = new Serving({ model: tiny, ...options });
      const answers = await Promise.all(serving.askGroup(requests).map(({ answer }) => answer));
      expect(answers.map(written), JSON.stringify(options)).toEqual(expected);
      serving.expectAllFree();
    }
  });

  it("leaves no block behind if it ends in the step in which it arrives", async () => {
    const serving = new Serving({ model: tiny });
    const unsalted = group(3, { maxTokens: 1, cacheSalt: new Uint8Array() });
    for (let i = 0; i < 20; i++) {
      await Promise.all(serving.askGroup(unsalted).map(({ answer }) => answer));
    }
    serving.expectAllFree();
  });

  it("is refused whole, by the name of the request that is wrong", async () => {
    const serving = new Serving({ model: tiny });
    const requests = group(4);
    const long = Array.from({ length: 600 }, () => 30);
    const faulty = requests.map((request, i) => (i === 2 ? { ...request, prompt: long } : request));
    expect(refusal(() => serving.askGroup(faulty))).toBe("out_of_range");
    expect(() => serving.askGroup(faulty)).toThrow(/^branches\[2\]: the prompt has 600 tokens/);
    const twice = requests.map((request) => ({ ...request, id: 900 }));
    expect(refusal(() => serving.engine.submitGroup(twice))).toBe("invalid_argument");
    expect(refusal(() => serving.engine.submitGroup([]))).toBe("invalid_argument");
    expect(serving.engine.load()).toMatchObject({ running: 0, queued: 0, promptTokens: 0 });
    // Nothing of them is left.
    await Promise.all(serving.askGroup(requests).map(({ answer }) => answer));
  });

  it("is refused by a full queue, and taken whole by one that is not", async () => {
    const serving = new Serving({ model: tiny, maxRunning: 1, maxQueue: 2 });
    const [first] = serving.askGroup(group(1, { maxTokens: 300 }));
    await first?.seen("started");
    const asked = serving.askGroup(group(5));
    expect(refusal(() => serving.askGroup(group(2)))).toBe("resource_exhausted");
    serving.engine.cancel(first?.id ?? 0);
    expect((await Promise.all(asked.map(({ answer }) => answer))).length).toBe(5);
  });
});
