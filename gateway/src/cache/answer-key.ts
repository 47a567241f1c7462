// What an answer depends on, as one hash. Everything that can change the answer is in it; how it is
// streamed is not.
import { hex } from "../auth/api-key.ts";

/** Plain values only; `undefined` is left out and objects are sorted, so equal requests are equal. */
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
  /** What was decided, not what was asked. */
  mode: "serial" | "parallel";
  /** The classifier's version where it decided, else null. */
  classifier: string | null;
  maxBranches: number;
  maxTokens: number;
  /** Choices. */
  n: number;
  /** null where temperature 0 makes it irrelevant. */
  seed: string | null;
  stop: readonly string[];
  sampling: { readonly [name: string]: Canonical };
  input: Canonical;
}

export async function answerKey(key: AnswerKey): Promise<string> {
  const text = canonical({ ...key });
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
  return hex(new Uint8Array(digest));
}
