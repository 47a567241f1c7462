// The sampler against a plain implementation of the same sampling from the same raw logits.
import { describe, expect, it } from "vitest";
import type { EngineEvent, Sampling } from "../src/index.ts";
import { type Answer, prompt, Serving, small, tiny } from "./answers.ts";

/** Philox4x32-10, with BigInt for 64-bit words. */
function philox(counter: number[], key: number[]): number[] {
  let [c0 = 0n, c1 = 0n, c2 = 0n, c3 = 0n] = counter.map(BigInt);
  let [k0 = 0n, k1 = 0n] = key.map(BigInt);
  const word = 0xffffffffn;
  for (let round = 0; round < 10; round++) {
    const left = 0xd2511f53n * c0;
    const right = 0xcd9e8d57n * c2;
    [c0, c1, c2, c3] = [
      (right >> 32n) ^ c1 ^ k0,
      right & word,
      (left >> 32n) ^ c3 ^ k1,
      left & word,
    ];
    k0 = (k0 + 0x9e3779b9n) & word;
    k1 = (k1 + 0xbb67ae85n) & word;
  }
  return [c0, c1, c2, c3].map(Number);
}

function uniform(seed: bigint, choice: number, lane: number, index: number): number {
  const key = [Number(seed & 0xffffffffn), Number(seed >> 32n)];
  const [low = 0, high = 0] = philox([choice, lane, index, 0], key);
  return (low + high * 2 ** -32) * 2 ** -32;
}

interface Sampled {
  lane: number;
  index: number;
  logits: Float32Array;
  token: number;
}

/** Each sampled token with its logits, except those of dropped plans. */
function choices(answer: Answer): Sampled[] {
  const out: Sampled[] = [];
  for (const event of answer.events) {
    if (event.kind !== "logits") continue;
    const token = answer.lanes[event.lane]?.[event.index];
    if (token && !token.forced) out.push({ ...event, token: token.id });
  }
  return out;
}

/** Inverse CDF of u over the survivors in token-id order; top-k, then top-p, then min-p. */
function sampleToken(
  logits: Float32Array,
  masked: Set<number>,
  sampling: Sampling,
  u: number,
): number {
  const temperature = Math.fround(sampling.temperature ?? 0);
  let kept = [...logits].flatMap((logit, token) => (masked.has(token) ? [] : [{ token, logit }]));
  kept.sort((a, b) => b.logit - a.logit || a.token - b.token);
  if (temperature === 0) return kept[0]?.token ?? -1;
  const top = kept[0]?.logit ?? 0;
  const weight = (logit: number) => Math.exp((logit - top) / temperature);
  if (sampling.topK) kept = kept.slice(0, sampling.topK);
  const topP = Math.fround(sampling.topP ?? 1);
  if (topP < 1) {
    const total = kept.reduce((sum, { logit }) => sum + weight(logit), 0);
    let sum = 0;
    kept = kept.filter(({ logit }, i) => {
      const before = sum;
      sum += weight(logit);
      return i === 0 || before < topP * total;
    });
  }
  const minP = Math.fround(sampling.minP ?? 0);
  kept = kept.filter(({ logit }) => weight(logit) >= minP);
  kept.sort((a, b) => a.token - b.token);
  let rest = u * kept.reduce((sum, { logit }) => sum + weight(logit), 0);
  for (const { token, logit } of kept) {
    if (rest < weight(logit)) return token;
    rest -= weight(logit);
  }
  return kept.at(-1)?.token ?? -1;
}

describe("Philox4x32-10", () => {
  // From kat_vectors of Random123.
  it.each([
    [
      [0, 0, 0, 0],
      [0, 0],
      [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8],
    ],
    [
      [0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff],
      [0xffffffff, 0xffffffff],
      [0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd],
    ],
    [
      [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344],
      [0xa4093822, 0x299f31d0],
      [0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1],
    ],
  ])("%j under %j", (counter, key, want) => {
    expect(philox(counter, key)).toEqual(want);
  });
});

const kinds: [string, Sampling][] = [
  ["greedy", {}],
  ["temperature", { temperature: 1 }],
  ["top-k", { temperature: 1.5, topK: 7 }],
  ["top-p", { temperature: 1.3, topP: 0.8 }],
  ["min-p", { temperature: 2, minP: 0.1 }],
  ["all three", { temperature: 1.7, topK: 50, topP: 0.9, minP: 0.02 }],
];

describe.each(kinds)("%s", (_, sampling) => {
  it("samples by seed, choice index, lane and index among the allowed tokens", async () => {
    const serving = new Serving({ model: small });
    const seed = 0x1234_5678_9abc_def0n;
    const answer = await serving.answer({
      prompt: prompt("compare-cities"),
      parallel: true,
      maxTokens: 260,
      sampling,
      seed,
      choice: 3,
      returnLogits: true,
    });
    const markers = [3, 4, 5, 6, 7, 8];
    const end = 2;
    let lanes = 0;
    let planning = false;
    for (const { lane, index, logits, token } of choices(answer)) {
      // In the trunk the allowed markers depend on the plan: a title's close or opening, or the fork.
      const before = answer.lanes[0]?.[index - 1]?.id;
      if (lane === 0 && before !== undefined) {
        planning = before === 3 || (planning && before !== 5 && before !== 8);
      }
      if (lane === 0 && (planning || before === 8 || token === 3)) continue;
      lanes |= 1 << lane;
      const allowed = lane === 0 ? 3 : 7;
      const masked = new Set(markers.filter((id) => id !== allowed));
      const want = sampleToken(logits, masked, sampling, uniform(seed, 3, lane, index));
      // An end token sampled in a branch closes it; the close is forced.
      if (want !== end) expect(token, `lane ${lane} index ${index}`).toBe(want);
    }
    expect(lanes, "trunk seen").toBeGreaterThan(0);
    if (answer.usage.branches > 0) expect(lanes).toBeGreaterThan(1);
  });
});

describe("penalties", () => {
  it("subtract presence and frequency, and divide or multiply by repetition", async () => {
    const serving = new Serving({ model: tiny });
    const sampling = { presencePenalty: 0.1, frequencyPenalty: 0.05, repetitionPenalty: 1.05 };
    const answer = await serving.answer({
      prompt: [9, 8, 7],
      maxTokens: 80,
      ignoreEos: true,
      sampling,
      returnLogits: true,
    });
    const counts = new Map<number, number>();
    for (const { logits, token } of choices(answer)) {
      const adjusted = logits.slice();
      for (const [id, n] of counts) {
        const logit = adjusted[id] ?? 0;
        const repeated = logit > 0 ? logit / Math.fround(1.05) : logit * Math.fround(1.05);
        const minus = Math.fround(Math.fround(Math.fround(0.05) * n) + Math.fround(0.1));
        adjusted[id] = Math.fround(repeated) - minus;
      }
      expect(token).toBe(sampleToken(adjusted, new Set([2]), {}, 0));
      counts.set(token, (counts.get(token) ?? 0) + 1);
    }
    expect(Math.max(...counts.values()), "some token came again").toBeGreaterThan(1);
  });
});

describe("log-probabilities", () => {
  it("are the log softmax of the raw logits, for any temperature, bias and mask", async () => {
    const serving = new Serving({ model: tiny });
    const answer = await serving.answer({
      prompt: [9, 8, 7],
      maxTokens: 30,
      seed: 4,
      sampling: { temperature: 2, topK: 5, logprobs: true, topLogprobs: 4, logitBias: [[30, 3]] },
      returnLogits: true,
    });
    const rows = answer.events.filter(
      (event): event is Extract<EngineEvent, { kind: "logits" }> => event.kind === "logits",
    );
    rows.forEach(({ logits }, i) => {
      const token = answer.lanes[0]?.[i];
      const top = Math.max(...logits);
      const total = top + Math.log(logits.reduce((sum, logit) => sum + Math.exp(logit - top), 0));
      expect(token?.logprob).toBeCloseTo((logits[token?.id ?? 0] ?? 0) - total, 4);
      const ranked = [...logits]
        .map((logit, id) => ({ id, logit }))
        .sort((a, b) => b.logit - a.logit);
      expect(token?.top?.map(({ id }) => id)).toEqual(ranked.slice(0, 4).map(({ id }) => id));
      expect(token?.top?.[0]?.logprob).toBeCloseTo(top - total, 4);
    });
    expect(rows.length).toBeGreaterThan(5);
  });

  it("differ between seeds, and agree for one seed", async () => {
    const serving = new Serving({ model: tiny });
    const ask = async (seed: bigint, choice = 0) =>
      (
        await serving.answer({
          prompt: [9],
          maxTokens: 30,
          seed,
          choice,
          ignoreEos: true,
          sampling: { temperature: 1.5 },
        })
      ).lanes[0]?.map((token) => token.id);
    expect(await ask(1n)).toEqual(await ask(1n));
    expect(await ask(1n)).not.toEqual(await ask(2n));
    expect(await ask(1n)).not.toEqual(await ask(1n + 2n ** 32n));
    expect(await ask(1n)).not.toEqual(await ask(1n, 1));
  });
});
