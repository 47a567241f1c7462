// POST /admin/v1/keys
import { z } from "@hono/zod-openapi";
import { createKey as storeNewKey } from "../auth/key-store.ts";
import { readBody } from "../http/body.ts";
import { jsonBody, operatorRoute } from "../http/route.ts";

const limit = z.int().min(1).max(1_000_000_000).nullish();

const body = z
  .object({
    tenant: z.string().regex(/^[\w.@:-]{1,64}$/, "1 to 64 letters, digits or any of _ . @ : -"),
    rpm: limit.openapi({ description: "Requests per minute; no limit if absent" }),
    tpm: limit.openapi({ description: "Tokens per minute; no limit if absent" }),
  })
  .openapi("NewKeyRequest");

const created = z
  .object({
    key: z.string().openapi({ description: "Shown this once: only a hash of it is kept" }),
    id: z.string(),
    tenant: z.string(),
    rpm: z.int().nullable(),
    tpm: z.int().nullable(),
  })
  .openapi("NewKey");

export const createKey = operatorRoute({
  method: "post",
  path: "/admin/v1/keys",
  summary: "Makes a key, and its tenant if that is new",
  request: jsonBody(body),
  response: { description: "The key", schema: created },
  async handle({ request, env }) {
    const { tenant, rpm = null, tpm = null } = await readBody(request, body);
    const { key, keyId } = await storeNewKey(env, tenant, { rpm, tpm });
    return { key, id: keyId, tenant, rpm, tpm };
  },
});
