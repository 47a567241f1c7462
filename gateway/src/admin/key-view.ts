// A key as the admin API shows it.
import { z } from "@hono/zod-openapi";
import { ApiError } from "../api-error.ts";
import { scopes } from "../auth/key-settings.ts";
import { limitsView, shownLimits } from "../limits/limits.ts";
import type { KeysStore, StoredKey } from "./keys-store.ts";

export const tenantName = z
  .string()
  .regex(/^[\w.@:-]{1,64}$/, "1 to 64 letters, digits or any of _ . @ : -");

const seconds = z.int().openapi({ description: "Seconds since the epoch" });

export const keyFields = {
  id: z.string().openapi({ description: "The key's public part" }),
  tenant: z.string(),
  name: z.string(),
  ...shownLimits,
  scopes: z.array(z.enum(scopes)),
  models: z.array(z.string()).nullable(),
  priority: z.int(),
  created_at: seconds,
  expires_at: seconds.nullable(),
  revoked_at: seconds.nullable(),
  status: z.enum(["active", "expired", "revoked"]),
};

export const keyView = z.object(keyFields).openapi("Key");

export const newKeyView = z
  .object({
    key: z.string().openapi({ description: "Shown this once: only a hash of it is kept" }),
    ...keyFields,
  })
  .openapi("NewKey");

const inSeconds = (ms: number) => Math.floor(ms / 1_000);

export function viewOf(key: StoredKey): z.output<typeof keyView> {
  const { expiresAt, revokedAt } = key;
  const expired = expiresAt !== null && expiresAt <= Date.now();
  return {
    id: key.keyId,
    tenant: key.tenantId,
    name: key.name,
    ...limitsView(key),
    scopes: [...key.scopes],
    models: key.models && [...key.models],
    priority: key.priority,
    created_at: inSeconds(key.createdAt),
    expires_at: expiresAt === null ? null : inSeconds(expiresAt),
    revoked_at: revokedAt === null ? null : inSeconds(revokedAt),
    status: revokedAt !== null ? "revoked" : expired ? "expired" : "active",
  };
}

/** Throws a 404 ApiError if there is none. */
export async function storedKey(store: KeysStore, id = ""): Promise<StoredKey> {
  const key = await store.find(id);
  if (key) return key;
  throw new ApiError(404, `There is no key with the id '${id}'.`, { code: "key_not_found" });
}

/** The same, and throws a 409 ApiError if it has ended. */
export async function activeKey(store: KeysStore, id?: string): Promise<StoredKey> {
  const key = await storedKey(store, id);
  const { status } = viewOf(key);
  if (status === "active") return key;
  throw new ApiError(409, `The key '${key.keyId}' is ${status}.`, { code: `key_${status}` });
}
