// Streams whose client looks at the clock: when the first text came, and how long it waited for each next one.
import { type Client, endless, model, ours } from "./asking.ts";

const maxMs = 60_000;

export interface Timed {
  status: number;
  firstMs: number;
  /** Between two parts of the text. */
  gapsMs: number[];
  retryAfter: number | null;
  /** What a refusal says; "" if there was an answer. */
  refusal: string;
}

/** One streamed answer of `tokens` tokens. Throws what fetch throws, also if the answer takes longer than a minute. */
export async function timedStream(
  { url, key }: Client,
  content: string,
  tokens: number,
): Promise<Timed> {
  const began = performance.now();
  const response = await fetch(`${url}/v1/chat/completions`, {
    method: "POST",
    signal: AbortSignal.timeout(maxMs),
    headers: { authorization: `Bearer ${key}` },
    body: JSON.stringify({
      ...{ model, messages: [{ role: "user", content }], stream: true, temperature: 1 },
      ...{ max_tokens: tokens, logit_bias: endless, ...ours({ mode: "serial", cache: "bypass" }) },
    }),
  });
  const gapsMs: number[] = [];
  let firstMs = Number.NaN;
  let last = 0;
  let refusal = "";
  for await (const part of response.body ?? []) {
    if (!response.ok) refusal += Buffer.from(part).toString();
    const now = performance.now();
    if (last === 0) firstMs = now - began;
    else gapsMs.push(now - last);
    last = now;
  }
  const retryAfter = response.headers.get("retry-after");
  return {
    ...{ status: response.status, firstMs, gapsMs, refusal },
    retryAfter: retryAfter === null ? null : Number(retryAfter),
  };
}

/** The value below which 99 of 100 lie; NaN if there are none. */
export function p99(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.ceil(0.99 * sorted.length) - 1] ?? Number.NaN;
}
