// Idempotency-Key: a request that is sent again, because its answer was lost on the way, gets the same answer.
import { ApiError } from "../api-error.ts";
import type { Caller } from "../auth/key-store.ts";
import { hashOf } from "../cache/answer-key.ts";

const longest = 255;

/** What the header stands for, of this API key alone; null if there is none. Throws a 400 ApiError. */
export async function idempotencyKeyOf(
  { headers }: Request,
  { tenantId, keyId }: Caller,
): Promise<string | null> {
  const given = headers.get("idempotency-key");
  if (given === null) return null;
  if (given.length === 0 || given.length > longest) {
    throw new ApiError(400, `'Idempotency-Key' has 1 to ${longest} characters.`, {
      code: "invalid_idempotency_key",
    });
  }
  return await hashOf({ purpose: "idempotency", tenantId, keyId, given });
}

export const idempotencyConflict = () =>
  new ApiError(409, "This Idempotency-Key was used for another request.", {
    code: "idempotency_key_reused",
    headers: { "x-should-retry": "false" },
  });

export const idempotencyBusy = () =>
  new ApiError(409, "The request with this Idempotency-Key still runs; try again.", {
    code: "idempotency_key_in_use",
    headers: { "retry-after": "1" },
  });
