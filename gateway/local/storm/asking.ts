// A client of the storms: one chat request, and what became of it.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "../bundle.ts";

export const model = "anabranch-small";
const generation = JSON.parse(
  readFileSync(join(root, "models/small/generation_config.json"), "utf8"),
) as { eos_token_id: number | number[] };
/** With this bias no answer ends by itself: every answer has as many tokens as it may. */
export const endless = Object.fromEntries([generation.eos_token_id].flat().map((id) => [id, -100]));

export interface Asked {
  status: number;
  /** The answer's text; "" if it was refused. */
  text: string;
  /** It came to its end. */
  whole: boolean;
  /** OpenAI's code of the error; null if there was none. */
  code: string | null;
  /** Seconds; null: not said. */
  retryAfter: number | null;
  tokens: number;
  cached: boolean;
}

interface Chunk {
  choices: { delta?: { content?: string }; message?: { content: string } }[];
  usage?: { total_tokens: number } | null;
  error?: { code: string };
}

function chunksOf(text: string): Chunk[] {
  const data = text.split("\n").filter((line) => line.startsWith("data: {"));
  return data.map((line) => JSON.parse(line.slice(6)));
}

export interface Client {
  url: string;
  key: string;
}

/** A chat of one message. `fields` are those of the request. Rejects if the connection breaks. */
export async function ask(
  { url, key }: Client,
  content: string,
  fields: object,
  init: { signal?: AbortSignal; idempotencyKey?: string; onHead?: () => void } = {},
): Promise<Asked> {
  const { signal, idempotencyKey, onHead } = init;
  const body = JSON.stringify({
    ...{ model, messages: [{ role: "user", content }] },
    ...{ logit_bias: endless, ...fields },
    ...("stream" in fields && { stream_options: { include_usage: true } }),
  });
  const response = await fetch(`${url}/v1/chat/completions`, {
    ...{ method: "POST", body, ...(signal && { signal }) },
    headers: {
      authorization: `Bearer ${key}`,
      ...(idempotencyKey && { "idempotency-key": idempotencyKey }),
    },
  });
  onHead?.();
  const text = await response.text();
  const { status, headers } = response;
  const isStream = headers.get("content-type")?.startsWith("text/event-stream");
  const chunks: Chunk[] = isStream ? chunksOf(text) : [JSON.parse(text)];
  const error = chunks.find((chunk) => chunk.error)?.error ?? null;
  const said = chunks.flatMap(({ choices = [] }) =>
    choices.map(({ delta, message }) => delta?.content ?? message?.content ?? ""),
  );
  const retryAfter = headers.get("retry-after");
  return {
    status,
    text: said.join(""),
    whole: status === 200 && error === null && (!isStream || text.endsWith("data: [DONE]\n\n")),
    code: error?.code ?? null,
    retryAfter: retryAfter === null ? null : Number(retryAfter),
    tokens: chunks.findLast(({ usage }) => usage)?.usage?.total_tokens ?? 0,
    cached: headers.get("x-anabranch-cache") === "hit",
  };
}

/** The field of the request that is ours. */
export const ours = (anabranch: object) => ({ anabranch });
