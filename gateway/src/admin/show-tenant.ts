// GET /admin/v1/tenants/{id}
import { z } from "@hono/zod-openapi";
import { operatorRoute } from "../http/route.ts";
import { tenantWithMonth, viewWithMonth } from "./tenant-view.ts";
import { TenantsStore } from "./tenants-store.ts";

export const showTenant = operatorRoute({
  method: "get",
  path: "/admin/v1/tenants/{id}",
  summary: "A tenant: its limits, and what it has spent this month",
  request: { params: z.object({ id: z.string() }) },
  response: { description: "The tenant", schema: tenantWithMonth },
  async handle(context) {
    const tenant = await new TenantsStore(context).find(context.params.id ?? "");
    return await viewWithMonth(context, tenant);
  },
});
