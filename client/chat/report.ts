// What an answer cost, as a line and as JSON.
import type { Answer } from "../src/index.ts";

/** An answer, and when its text came. */
export interface Turn {
  /** What there is of it: null if it was stopped. */
  answer: Answer | null;
  text: string;
  /** From the request to the first text, and to the end. */
  firstTextMs: number | null;
  ms: number;
}

const seconds = (ms: number): string => `${(ms / 1_000).toFixed(2)} s`;

/** Visible tokens per second; 0 if it was stopped. */
const rateOf = ({ answer, ms }: Turn): number =>
  answer ? answer.usage.anabranch.visible_tokens / (ms / 1_000) : 0;

export function lineOf(turn: Turn): string {
  const { answer, ms } = turn;
  if (!answer) return `stopped after ${seconds(ms)}`;
  const { steps, branches, visible_tokens: tokens } = answer.usage.anabranch;
  const rate = `${rateOf(turn).toFixed(1)} tokens/s`;
  const facts = [`${tokens} tokens in ${steps} steps`, `${branches} branches`, seconds(ms), rate];
  if (answer.cache === "hit") facts.push("from the cache");
  if (answer.finishReason === "length") facts.push("cut at --max-tokens");
  return facts.join(", ");
}

/** The ratio is that of tokens per second, because the two answers differ in length. */
export function raceLine(serial: Turn, parallel: Turn): string {
  if (!serial.answer || !parallel.answer) return "the race was stopped";
  const ratio = rateOf(parallel) / rateOf(serial);
  return `serial ${seconds(serial.ms)}, in branches ${seconds(parallel.ms)}: ${ratio.toFixed(2)} times as many tokens/s`;
}

export function reportOf(turn: Turn): object {
  const { answer, text, ms, firstTextMs } = turn;
  return {
    ...{ text, finish_reason: answer?.finishReason ?? null, ms, first_text_ms: firstTextMs },
    ...{ model: answer?.model ?? null, mode: answer?.mode ?? null, cache: answer?.cache ?? null },
    ...{ parts: answer?.parts ?? [], usage: answer?.usage ?? null },
  };
}
