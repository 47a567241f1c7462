// PATCH /admin/v1/tenants/{id}
import { z } from "@hono/zod-openapi";
import { readBody } from "../http/body.ts";
import { jsonBody, operatorRoute } from "../http/route.ts";
import { limitFields, withLimits } from "../limits/limits.ts";
import { tenantWithMonth, viewWithMonth } from "./tenant-view.ts";
import { TenantsStore } from "./tenants-store.ts";

const body = z.strictObject(limitFields).openapi("TenantChange");

export const changeTenant = operatorRoute({
  method: "patch",
  path: "/admin/v1/tenants/{id}",
  summary: "Changes the limits of all keys of a tenant together; what is absent stays",
  request: { params: z.object({ id: z.string() }), ...jsonBody(body) },
  response: { description: "The tenant", schema: tenantWithMonth },
  async handle(context) {
    const given = await readBody(context.request, body);
    const store = new TenantsStore(context);
    const tenant = await store.find(context.params.id ?? "");
    await store.change(tenant.tenantId, withLimits(tenant, given));
    return await viewWithMonth(context, await store.find(tenant.tenantId));
  },
});
