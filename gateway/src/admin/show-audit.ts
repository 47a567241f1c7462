// GET /admin/v1/audit
import { z } from "@hono/zod-openapi";
import { readQuery } from "../http/body.ts";
import { csvResponse } from "../http/csv.ts";
import { operatorRoute } from "../http/route.ts";
import { type AuditRow, AuditStore } from "./audit-store.ts";
import { tenantName } from "./key-view.ts";

const query = z.object({
  tenant: tenantName.optional(),
  limit: z.coerce.number().int().min(1).max(1_000).default(100),
  before: z.coerce
    .number()
    .int()
    .min(1)
    .optional()
    .openapi({ description: "The last id of the page before" }),
  format: z.enum(["json", "csv"]).default("json"),
});

const entry = z
  .object({
    id: z.int(),
    at: z.int().openapi({ description: "ms since the epoch" }),
    request_id: z.string(),
    operator: z.string().openapi({
      description: "The id of the credential that did it; empty: the one of the environment",
    }),
    action: z.string(),
    tenant: z.string().openapi({ description: "Empty if the change is no tenant's" }),
    key: z.string().openapi({ description: "The public id; empty if it is no key's" }),
    detail: z.record(z.string(), z.unknown()),
  })
  .openapi("AuditEntry");

const viewOf = (row: AuditRow): z.output<typeof entry> => ({
  id: row.id,
  at: row.at,
  request_id: row.requestId,
  operator: row.operator,
  action: row.action,
  tenant: row.tenantId,
  key: row.keyId,
  detail: row.detail,
});

export const showAudit = operatorRoute({
  method: "get",
  path: "/admin/v1/audit",
  summary: "What operators changed, the newest first, in pages",
  request: { query },
  response: {
    description: "A page; `next` is the `before` of the next page",
    schema: z.object({ entries: z.array(entry), next: z.int().nullable() }),
  },
  async handle(context) {
    const { tenant, limit, before, format } = readQuery(context.request, query);
    const rows = await new AuditStore(context).list(tenant, limit, before);
    if (format === "csv") {
      return csvResponse(
        rows.map((row) => ({ ...viewOf(row), detail: JSON.stringify(row.detail) })),
      );
    }
    return {
      entries: rows.map(viewOf),
      next: rows.length === limit ? (rows.at(-1)?.id ?? null) : null,
    };
  },
});
