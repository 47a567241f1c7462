// Clients that stream an answer, look at the clock, and ask again if the connection breaks, as SDKs do.
import { setTimeout as sleep } from "node:timers/promises";
import { type Client, endless, model } from "@anabranch/gateway/local/storm/asking.ts";
import { serverSentData } from "@anabranch/shared/server-sent-data.ts";

export interface Streamed {
  text: string;
  /** It came to its end. */
  whole: boolean;
  /** How often the client had to ask again. */
  retries: number;
  /** The longest time between two parts of the text that the client had not yet. */
  longestGapMs: number;
}

interface Chunk {
  choices?: { delta?: { content?: string | null }; finish_reason?: string | null }[];
  error?: { code: string };
}

const maxTries = 100;
const pauseMs = 200;

/** Stream number `index`: every second one may branch, and every one has its own random numbers. */
function bodyOf(index: number, tokens: number): string {
  const content = index % 2 ? "Compare Mercury, Earth and Mars." : "Describe Mars.";
  return JSON.stringify({
    ...{ model, messages: [{ role: "user", content }], stream: true },
    ...{ temperature: 1, seed: index, max_tokens: tokens, logit_bias: endless },
    anabranch: { mode: index % 2 ? "parallel" : "serial" },
  });
}

/** `onText` is called with each new part. */
export async function streamOnce(
  { url, key }: Client,
  index: number,
  tokens: number,
  onText: () => void,
): Promise<Streamed> {
  const headers = { authorization: `Bearer ${key}`, "idempotency-key": `stream-${index}` };
  const body = bodyOf(index, tokens);
  let known = 0; // characters
  let last = Number.NaN;
  let longestGapMs = 0;
  for (let retries = 0; retries < maxTries; retries++) {
    let text = "";
    let ended = false;
    try {
      const response = await fetch(`${url}/v1/chat/completions`, { method: "POST", headers, body });
      if (!response.ok) throw new Error(`${response.status}: ${await response.text()}`);
      for await (const data of serverSentData(response)) {
        const { choices, error } = data as Chunk;
        if (error) throw new Error(error.code);
        text += choices?.[0]?.delta?.content ?? "";
        ended ||= Boolean(choices?.[0]?.finish_reason);
        if (text.length <= known) continue;
        known = text.length;
        const now = performance.now();
        if (now - last > longestGapMs) longestGapMs = now - last;
        last = now;
        onText();
      }
      if (ended) return { text, whole: true, retries, longestGapMs };
    } catch {
      // The connection broke, or nobody could answer.
    }
    await sleep(pauseMs);
  }
  return { text: "", whole: false, retries: maxTries, longestGapMs };
}
