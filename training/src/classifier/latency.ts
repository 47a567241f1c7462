// How long a judgement takes.
import { judge } from "@anabranch/shared/classifier/judge.ts";
import type { Model } from "@anabranch/shared/classifier/model.ts";

export interface Latency {
  characters: number;
  /** Microseconds. */
  p50: number;
  p99: number;
}

const characters = 8_000;

/** Times judgements of prompts that are repeated until they have 8,000 characters. */
export function latencyOf(model: Model, prompts: readonly string[]): Latency {
  const texts = prompts.map((prompt) =>
    `${prompt}\n`.repeat(Math.ceil(characters / (prompt.length + 1))).slice(0, characters),
  );
  // The first round is the compiler's.
  for (const text of texts) judge(model, text);
  const times = texts.map((text) => {
    // The least of three, so that other work of the machine counts less.
    const tries = [0, 1, 2].map(() => {
      const start = performance.now();
      judge(model, text);
      return (performance.now() - start) * 1_000;
    });
    return Math.min(...tries);
  });
  times.sort((a, b) => a - b);
  const at = (share: number) => Math.round(times[Math.floor(share * (times.length - 1))] ?? 0);
  return { characters, p50: at(0.5), p99: at(0.99) };
}
