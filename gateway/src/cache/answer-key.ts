// The cache key of an answer: a hash of everything that can change the answer. How it is streamed is not
// part of it.
import { hex } from "../auth/api-key.ts";

/** Plain values. `undefined` is left out and fields are sorted, so that equal requests have equal keys. */
export type Canonical =
  | string
  | number
  | boolean
  | null
  | undefined
  | readonly Canonical[]
  | { readonly [name: string]: Canonical };

function canonical(value: Canonical): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  if (typeof value === "object" && value !== null) {
    const fields = Object.entries(value)
      .filter(([, field]) => field !== undefined)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, field]) => `${JSON.stringify(name)}:${canonical(field)}`);
    return `{${fields.join(",")}}`;
  }
  return JSON.stringify(value ?? null);
}

export interface AnswerKey {
  tenantId: string;
  model: string;
  modelDigest: string;
  /** The decided mode, not the requested one. */
  mode: "serial" | "parallel";
  /** The classifier's version if it decided, else null. */
  classifier: string | null;
  maxBranches: number;
  maxTokens: number;
  /** Choices. */
  n: number;
  /** null if temperature 0 makes it irrelevant. */
  seed: string | null;
  stop: readonly string[];
  stopTokenIds: readonly number[];
  ignoreEos: boolean;
  /** What the answer may say. */
  constraint: Canonical;
  sampling: { readonly [name: string]: Canonical };
  minTokens: number;
  /** The kept answer begins with its prompt. */
  echo: boolean;
  inputs: readonly Canonical[];
}

export const answerKey = (key: AnswerKey): Promise<string> => hashOf({ ...key });

/** In hex. */
export async function hashOf(value: Canonical): Promise<string> {
  const text = canonical(value);
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
  return hex(new Uint8Array(digest));
}
