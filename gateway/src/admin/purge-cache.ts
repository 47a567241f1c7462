// DELETE /admin/v1/cache
import { z } from "@hono/zod-openapi";
import { answersObject } from "../environment.ts";
import { readQuery } from "../http/body.ts";
import { operatorRoute } from "../http/route.ts";
import { AuditStore } from "./audit-store.ts";
import { tenantName } from "./key-view.ts";
import { TenantsStore } from "./tenants-store.ts";

const query = z.object({
  tenant: tenantName.optional().openapi({ description: "Default: all tenants" }),
  model: z.string().min(1).max(500).optional().openapi({ description: "Default: all models" }),
});

const pageSize = 500;

/** The names of all tenants. */
async function* tenantNames(store: TenantsStore): AsyncGenerator<string> {
  for (let after = ""; ; ) {
    const page = await store.list(pageSize, after);
    for (const { tenantId } of page) yield tenantId;
    if (page.length < pageSize) return;
    after = page.at(-1)?.tenantId ?? "";
  }
}

export const purgeCache = operatorRoute({
  method: "delete",
  path: "/admin/v1/cache",
  summary: "Forgets cached answers: of a tenant, of a model, or all",
  request: { query },
  response: {
    description: "How many answers were forgotten",
    schema: z.object({ purged: z.int() }),
  },
  async handle(context) {
    const { tenant, model } = readQuery(context.request, query);
    const store = new TenantsStore(context);
    const names = tenant === undefined ? tenantNames(store) : [(await store.find(tenant)).tenantId];
    let purged = 0;
    for await (const name of names) {
      purged += await answersObject(context.env, name).purge(model ?? null);
    }
    await new AuditStore(context).entry({
      ...{ action: "cache.purge", tenantId: tenant ?? "", keyId: "" },
      detail: { model: model ?? null, purged },
    });
    return { purged };
  },
});
