// Decoding under a grammar: every token is one that it allows, whatever happens to the request on the way.
import { describe, expect, it } from "vitest";
import type { EngineOptions, EngineRequest } from "../src/index.ts";
import { finish, idsOf, refusal, Serving, tiny, written } from "./answers.ts";

/** The tiny model's tokens: printable characters from id 32 on, and some pairs. */
const texts = Array.from({ length: 192 }, (_, id) => {
  if (id >= 32 && id < 127) return String.fromCharCode(id);
  if (id >= 128) return "[],0123456789"[(id - 128) % 13] + ("0,]["[id % 4] ?? "");
  return "";
});
const tokenBytes = Buffer.concat(
  texts.map((text) => Buffer.concat([Buffer.from([text.length, 0]), Buffer.from(text)])),
);
const options: Partial<EngineOptions> = { model: tiny, tokenBytes };

const byte = (text: string, target: number) => [text.charCodeAt(0) * 0x10100, target, 0];
const digit = (target: number) => [0x30 * 0x100 + 0x39 * 0x10000, target, 0];
const call = (target: number, after: number) => [2, target, after];
const node = (final: boolean, ...edges: number[][]) => [+final, edges.length, ...edges.flat()];

/** Lists of two values, each a list or two digits. */
const lists = Uint32Array.from([
  ...[1, 8, 0],
  ...node(false, byte("[", 1)),
  ...node(false, call(0, 2), call(6, 2)),
  ...node(false, byte(",", 3)),
  ...node(false, call(0, 4), call(6, 4)),
  ...node(false, byte("]", 5)),
  ...node(true),
  ...node(false, digit(7)),
  ...node(false, digit(5)),
]);

/** The words of a grammar with these nodes, from the first. */
const grammarOf = (...nodes: number[][]) => Uint32Array.from([1, nodes.length, 0, ...nodes.flat()]);

const digits = grammarOf(node(false, digit(1)), node(true, digit(1)));

const textOf = (tokens: readonly { id: number }[]) => tokens.map(({ id }) => texts[id]).join("");

function isList(text: string): boolean {
  if (!/^[[\],\d]+$/.test(text)) return false;
  const inner = /\[(\d\d|L),(\d\d|L)\]/;
  let left = text;
  while (inner.test(left)) left = left.replace(inner, "L");
  return left === "L";
}

const asks: Omit<EngineRequest, "id">[] = Array.from({ length: 12 }, (_, seed) => ({
  prompt: [4, 5, 6 + seed],
  seed,
  grammar: lists,
  maxTokens: 120,
  sampling: { temperature: seed % 3, logprobs: true, topP: seed % 2 ? 0.9 : 1 },
}));

describe("a grammar", () => {
  it("is what answers are in, and where it ends they end", async () => {
    const serving = new Serving(options);
    const answers = await Promise.all(asks.map((ask) => serving.answer(ask)));
    const whole = answers.filter(({ reason }) => reason === finish.stop);
    expect(whole.length).toBeGreaterThan(4);
    for (const { lanes } of whole) expect(isList(textOf(lanes[0] ?? []))).toBe(true);
    serving.expectAllFree();
  });

  it("leaves out what it forces, and changes no token by that", async () => {
    const serving = new Serving(options);
    const forced = grammarOf(
      ...[...'[12345,"'].map((each, i) => node(false, byte(each, i + 1))),
      node(false, digit(9)),
      node(true),
    );
    const ask = { ...asks[1], prompt: [4, 5], grammar: forced, maxTokens: 50 };
    const fast = await serving.answer(ask);
    const slow = await serving.answer({ ...ask, sequential: true });
    expect(written(fast)).toEqual(written(slow));
    expect(fast.usage.steps).toBeLessThan(slow.usage.steps);
  });

  it("ends answers by the model's own end token where more may follow", async () => {
    const serving = new Serving(options);
    const asked = { prompt: [4, 5], grammar: digits, maxTokens: 200 };
    const { lanes, reason } = await serving.answer({
      ...asked,
      sampling: { temperature: 1, logitBias: [[2, 6]] },
    });
    expect(reason).toBe(finish.stop);
    expect(textOf(lanes[0] ?? [])).toMatch(/^\d+$/);
    const cut = await serving.answer({ ...asked, maxTokens: 5, ignoreEos: true });
    expect([cut.reason, cut.lanes[0]?.length]).toEqual([finish.length, 5]);
  });

  it("gives the same answer in company with too little KV, and from any point of its log", async () => {
    const alone = new Serving(options);
    const crowded = new Serving({ ...options, kvMib: 0.05, prefillRows: 16 });
    const long = asks.map((ask) => ({ ...ask, grammar: digits, ignoreEos: true, priority: 1 }));
    const [answers] = await Promise.all([
      Promise.all(asks.map((ask) => crowded.answer(ask))),
      Promise.all(long.map((ask) => crowded.answer(ask))),
    ]);
    expect(crowded.engine.load().preemptions).toBeGreaterThan(0);
    for (const [i, ask] of asks.entries()) {
      const wanted = await alone.answer(ask);
      expect(written(answers[i] ?? wanted)).toEqual(written(wanted));
      const tokens = idsOf(wanted.lanes[0]);
      for (const length of [1, 2, 5].filter((each) => each < tokens.length)) {
        const log = [{ lane: 0, tokens: tokens.slice(0, length) }];
        expect(idsOf((await alone.answer({ ...ask, log })).lanes[0])).toEqual(tokens);
      }
    }
  });

  it("refuses logs outside of it, branching, and what is no grammar", () => {
    const { engine } = new Serving(options);
    const ask = { id: 900, prompt: [4], maxTokens: 9, grammar: lists };
    const refused = (change: Partial<EngineRequest>) =>
      refusal(() => engine.submit({ ...ask, ...change }));
    expect(refused({ log: [{ lane: 0, tokens: [48] }] })).toBe("invalid_argument");
    expect(refused({ parallel: true })).toBe("invalid_argument");
    for (const length of [1, 3, 5, lists.length - 1]) {
      expect(refused({ grammar: lists.subarray(0, length) })).toBe("invalid_argument");
    }
    const endless = grammarOf(node(false, call(0, 1)), node(true));
    const empty = grammarOf(node(false, call(1, 1)), node(true));
    expect([endless, empty].map((grammar) => refused({ grammar }))).toEqual([
      "invalid_argument",
      "invalid_argument",
    ]);
    const without = new Serving({ model: tiny });
    expect(refusal(() => without.engine.submit(ask))).toBe("failed_precondition");
  });
});
