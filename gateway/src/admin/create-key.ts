// POST /admin/v1/keys
import { createRoute, z } from "@hono/zod-openapi";
import { createKey } from "../auth/key-store.ts";
import type { Environment } from "../environment.ts";
import { readBody } from "../http/body.ts";
import { errorResponses } from "../http/error-responses.ts";

const limit = z.int().min(1).max(1_000_000_000).nullish();

const body = z
  .object({
    tenant: z.string().regex(/^[\w.@:-]{1,64}$/, "1 to 64 letters, digits or any of _ . @ : -"),
    rpm: limit.openapi({ description: "Requests a minute; without it there is no limit" }),
    tpm: limit.openapi({ description: "Tokens a minute; without it there is no limit" }),
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

export const route = createRoute({
  method: "post",
  path: "/admin/v1/keys",
  summary: "Makes a key, and its tenant where that is new",
  security: [{ admin: [] }],
  request: { body: { required: true, content: { "application/json": { schema: body } } } },
  responses: {
    200: { description: "The key", content: { "application/json": { schema: created } } },
    ...errorResponses,
  },
});

export async function handle(request: Request, env: Environment): Promise<Response> {
  const { tenant, rpm = null, tpm = null } = await readBody(request, body);
  const { key, keyId } = await createKey(env, tenant, { rpm, tpm });
  const answer: z.output<typeof created> = { key, id: keyId, tenant, rpm, tpm };
  return Response.json(answer);
}
