// A refusal of an upstream as a worker would have said it, so that routing treats both alike.
import { Code, ConnectError } from "@connectrpc/connect";
import { z } from "zod";

interface Refusal {
  message: string;
  /** OpenAI's `code`, or its `type`. */
  words: string[];
  /** OpenAI's `param`: the field that is wrong. */
  field: string | null;
}

/** Metadata of a refusal: the field that it names. */
export const fieldMetadata = "anabranch-field";

const maxMessage = 1_000;
const fieldName = z.string().regex(/^[\w.[\]]{1,200}$/);

/** OpenAI's error object, or what a server sends in its place. */
export function refusalOf(body: unknown): Refusal {
  const error: unknown = typeof body === "object" && body ? Reflect.get(body, "error") : null;
  const at = typeof error === "object" && error ? error : ((body ?? {}) as object);
  const field = (name: string) => Reflect.get(at, name) as unknown;
  const message = [field("message"), field("detail"), error].find(
    (text) => typeof text === "string",
  );
  return {
    message: String(message ?? "no reason was given").slice(0, maxMessage),
    words: [field("code"), field("type")].filter((word) => typeof word === "string"),
    field: fieldName.safeParse(field("param")).data ?? null,
  };
}

const isTooLong = ({ message, words }: Refusal) =>
  words.some((word) => ["context_length_exceeded", "exceed_context_size_error"].includes(word)) ||
  /context (length|size|window)/i.test(message);

function codeOf(status: number, refusal: Refusal): Code {
  if (status === 400 || status === 413 || status === 422) {
    return isTooLong(refusal) ? Code.OutOfRange : Code.InvalidArgument;
  }
  if (status === 404) return Code.NotFound;
  if (status === 429 || (status === 503 && refusal.words.includes("overloaded"))) {
    return Code.ResourceExhausted;
  }
  // Its operator must do something: waiting does not help.
  if (status < 500) return Code.Unavailable;
  return Code.Internal;
}

/** Why the upstream did not begin an answer. */
export async function connectErrorOf(response: Response): Promise<ConnectError> {
  const body: unknown = await response.json().catch(() => null);
  const refusal = refusalOf(body);
  const retryAfter = response.headers.get("retry-after");
  return new ConnectError(refusal.message, codeOf(response.status, refusal), {
    ...(retryAfter !== null && { "retry-after": retryAfter }),
    ...(refusal.field !== null && { [fieldMetadata]: refusal.field }),
  });
}
