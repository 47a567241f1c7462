// GET /admin/v1/keys
import { z } from "@hono/zod-openapi";
import { readQuery } from "../http/body.ts";
import { operatorRoute } from "../http/route.ts";
import { keyView, tenantName, viewOf } from "./key-view.ts";
import { KeysStore } from "./keys-store.ts";

const query = z.object({
  tenant: tenantName.optional(),
  limit: z.coerce.number().int().min(1).max(1_000).default(100),
  after: z.string().max(100).optional().openapi({ description: "The last id of the page before" }),
});

export const listKeys = operatorRoute({
  method: "get",
  path: "/admin/v1/keys",
  summary: "Keys, of all tenants or of one, in pages",
  request: { query },
  response: {
    description: "A page of keys; `next` is the `after` of the next page",
    schema: z.object({ keys: z.array(keyView), next: z.string().nullable() }),
  },
  async handle(context) {
    const { tenant, limit, after } = readQuery(context.request, query);
    const keys = await new KeysStore(context).list(tenant, limit, after);
    return {
      keys: keys.map(viewOf),
      next: keys.length === limit ? (keys.at(-1)?.keyId ?? null) : null,
    };
  },
});
