// A tenant as the admin API shows it.
import { z } from "@hono/zod-openapi";
import { tenantObject } from "../environment.ts";
import type { RequestContext } from "../http/context.ts";
import { limitsView, shownLimits } from "../limits/limits.ts";
import type { Spend } from "../limits/window.ts";
import { amountOf } from "../prices/money.ts";
import type { StoredTenant } from "./tenants-store.ts";

const tenantFields = {
  id: z.string(),
  created_at: z.int().openapi({ description: "Seconds since the epoch" }),
  weight: z.int(),
  ...shownLimits,
};

export const tenantView = z.object(tenantFields).openapi("Tenant");

export const tenantWithMonth = z
  .object({
    ...tenantFields,
    month: z
      .object({
        tokens: z.int(),
        cost: z.string(),
        keys: z.record(z.string(), z.int()).openapi({ description: "Tokens of each key" }),
        key_costs: z.record(z.string(), z.string()),
      })
      .openapi({ description: "What was spent in this calendar month, UTC: by all keys, by each" }),
  })
  .openapi("TenantWithMonth");

export const viewOf = (tenant: StoredTenant): z.output<typeof tenantView> => ({
  id: tenant.tenantId,
  created_at: Math.floor(tenant.createdAt.getTime() / 1_000),
  weight: tenant.weight,
  ...limitsView(tenant),
});

export async function viewWithMonth(
  { env }: RequestContext,
  tenant: StoredTenant,
): Promise<z.output<typeof tenantWithMonth>> {
  const spent = await tenantObject(env, tenant.tenantId).month();
  const ofKeys = <T>(of: (spend: Spend) => T) =>
    Object.fromEntries(Object.entries(spent.keys).map(([id, spend]) => [id, of(spend)]));
  const month = {
    tokens: spent.tenant.tokens,
    cost: amountOf(spent.tenant.cost),
    keys: ofKeys(({ tokens }) => tokens),
    key_costs: ofKeys(({ cost }) => amountOf(cost)),
  };
  return { ...viewOf(tenant), month };
}
