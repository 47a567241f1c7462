// GET /admin/v1/tenants
import { z } from "@hono/zod-openapi";
import { readQuery } from "../http/body.ts";
import { operatorRoute } from "../http/route.ts";
import { tenantView, viewOf } from "./tenant-view.ts";
import { TenantsStore } from "./tenants-store.ts";

const query = z.object({
  limit: z.coerce.number().int().min(1).max(1_000).default(100),
  after: z.string().max(100).optional().openapi({ description: "The last id of the page before" }),
});

export const listTenants = operatorRoute({
  method: "get",
  path: "/admin/v1/tenants",
  summary: "Tenants, in pages",
  request: { query },
  response: {
    description: "A page of tenants; `next` is the `after` of the next page",
    schema: z.object({ tenants: z.array(tenantView), next: z.string().nullable() }),
  },
  async handle(context) {
    const { limit, after } = readQuery(context.request, query);
    const tenants = await new TenantsStore(context).list(limit, after);
    return {
      tenants: tenants.map(viewOf),
      next: tenants.length === limit ? (tenants.at(-1)?.tenantId ?? null) : null,
    };
  },
});
