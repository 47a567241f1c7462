// A tenant as the admin API shows it.
import { z } from "@hono/zod-openapi";
import { tenantObject } from "../environment.ts";
import type { RequestContext } from "../http/context.ts";
import { limitsView, shownLimits } from "../limits/limits.ts";
import type { StoredTenant } from "./tenants-store.ts";

const tenantFields = {
  id: z.string(),
  created_at: z.int().openapi({ description: "Seconds since the epoch" }),
  ...shownLimits,
};

export const tenantView = z.object(tenantFields).openapi("Tenant");

export const tenantWithMonth = z
  .object({
    ...tenantFields,
    month: z.object({ tokens: z.int(), keys: z.record(z.string(), z.int()) }).openapi({
      description: "Tokens spent in this calendar month, UTC: of all keys, and of each",
    }),
  })
  .openapi("TenantWithMonth");

export const viewOf = (tenant: StoredTenant): z.output<typeof tenantView> => ({
  id: tenant.tenantId,
  created_at: Math.floor(tenant.createdAt.getTime() / 1_000),
  ...limitsView(tenant),
});

export async function viewWithMonth(
  { env }: RequestContext,
  tenant: StoredTenant,
): Promise<z.output<typeof tenantWithMonth>> {
  const { tenant: tokens, keys } = await tenantObject(env, tenant.tenantId).month();
  return { ...viewOf(tenant), month: { tokens, keys } };
}
