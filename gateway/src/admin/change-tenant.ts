// PATCH /admin/v1/tenants/{id}
import { z } from "@hono/zod-openapi";
import { readBody } from "../http/body.ts";
import { jsonBody, operatorRoute } from "../http/route.ts";
import { limitFields, withLimits } from "../limits/limits.ts";
import { tenantWithMonth, viewWithMonth } from "./tenant-view.ts";
import { TenantsStore } from "./tenants-store.ts";

const body = z
  .strictObject({
    weight: z.int().min(1).max(100).optional().openapi({
      description: "Its part of a full worker, beside that of others; a tenant begins with 1",
    }),
    ...limitFields,
  })
  .openapi("TenantChange");

export const changeTenant = operatorRoute({
  method: "patch",
  path: "/admin/v1/tenants/{id}",
  summary:
    "Changes the weight of a tenant and the limits of all its keys together; what is absent stays",
  request: { params: z.object({ id: z.string() }), ...jsonBody(body) },
  response: { description: "The tenant", schema: tenantWithMonth },
  async handle(context) {
    const { weight, ...limits } = await readBody(context.request, body);
    const store = new TenantsStore(context);
    const tenant = await store.find(context.params.id ?? "");
    await store.change(tenant.tenantId, {
      weight: weight ?? tenant.weight,
      ...withLimits(tenant, limits),
    });
    return await viewWithMonth(context, await store.find(tenant.tenantId));
  },
});
