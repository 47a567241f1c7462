// GET /admin/v1/usage
import { z } from "@hono/zod-openapi";
import { tenantObject } from "../environment.ts";
import { readQuery } from "../http/body.ts";
import { csvResponse } from "../http/csv.ts";
import { operatorRoute } from "../http/route.ts";
import { amountOf } from "../prices/money.ts";
import { readCurrency } from "../prices/prices-store.ts";
import { reportUsage } from "../usage/report-store.ts";
import { keptFrom } from "../usage/retention.ts";
import { type Dimension, dimensionNames } from "../usage/rollup-store.ts";
import { utcOffset } from "../usage/utc-offset.ts";

const seconds = z.coerce.number().int().min(0);
const intervals = { hour: 3_600, day: 86_400 } as const;
const maxRows = 10_000;
const maxOffset = 1_000_000;

const query = z.object({
  by: z
    .string()
    .regex(
      new RegExp(`^(hour|day|${dimensionNames.join("|")})(,(${dimensionNames.join("|")}))*$`),
      `hour, day, or any of ${dimensionNames.join(", ")}, with commas; hour or day first`,
    )
    .optional()
    .openapi({ description: "What rows differ in; absent: one row for everything" }),
  start: seconds.optional().openapi({ description: "Seconds since the epoch; from this time on" }),
  end: seconds.optional().openapi({ description: "Seconds since the epoch; before this time" }),
  utc_offset: utcOffset,
  limit: z.coerce.number().int().min(1).max(maxRows).default(maxRows),
  offset: z.coerce
    .number()
    .int()
    .min(0)
    .max(maxOffset)
    .default(0)
    .openapi({ description: "How many rows to pass over: `next` of the page before" }),
  format: z.enum(["json", "csv"]).default("json"),
  ...(Object.fromEntries(dimensionNames.map((name) => [name, z.string().optional()])) as Record<
    Dimension,
    z.ZodOptional<z.ZodString>
  >),
});

export const usageReport = operatorRoute({
  method: "get",
  path: "/admin/v1/usage",
  summary: "What was used, over all tenants or part of them, by how requests ended",
  request: { query },
  response: {
    description: `Rows, at most \`limit\`; \`truncated\` says whether there are more. A CSV that has not all says in the header \`x-next-offset\` where they begin`,
    schema: z.object({
      currency: z
        .string()
        .nullable()
        .openapi({ description: "Of `cost`; null: nothing has a price" }),
      rows: z.array(z.record(z.string(), z.union([z.string(), z.number()]).nullable())),
      truncated: z.boolean(),
      next: z
        .number()
        .nullable()
        .openapi({ description: "The `offset` of the next page; null: this is the last" }),
    }),
  },
  async handle({ request, env }) {
    const {
      by = "",
      start,
      end,
      utc_offset,
      limit,
      offset,
      format,
      ...where
    } = readQuery(request, query);
    const [first = "", ...rest] = by.split(",").filter((name) => name !== "");
    const interval = first === "hour" || first === "day" ? intervals[first] : null;
    const names = (interval === null && first !== "" ? [first, ...rest] : rest) as Dimension[];
    const given = Object.fromEntries(
      Object.entries(where).filter(([, value]) => value !== undefined),
    );
    const question = {
      ...{ by: [...new Set(names)], interval, utcOffset: utc_offset },
      ...{ start, end, where: given, rowsFrom: keptFrom(env) },
    };
    // One tenant's rows on their way to D1 belong to its report; those of all tenants are half a second behind.
    if (given.tenant) await tenantObject(env, given.tenant).flush();
    const found = await reportUsage(env.DB, question, limit + 1, offset);
    const next = found.length > limit ? offset + limit : null;
    const rows = found
      .slice(0, limit)
      .map((row) => ({ ...row, cost: amountOf(Number(row.cost ?? 0)) }));
    const currency = await readCurrency(env.DB);
    if (format === "csv") {
      const csv = csvResponse(rows.map((row) => ({ ...row, currency })));
      if (next !== null) csv.headers.set("x-next-offset", String(next));
      return csv;
    }
    return { currency, rows, truncated: next !== null, next };
  },
});
