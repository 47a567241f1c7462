// GET /v1/usage
import { createRoute, z } from "@hono/zod-openapi";
import { and, eq, gte, lt, sql } from "drizzle-orm";
import { drizzle } from "drizzle-orm/d1";
import type { AnySQLiteColumn } from "drizzle-orm/sqlite-core";
import type { Caller } from "../auth/key-store.ts";
import { usage } from "../db/schema.ts";
import { type Environment, tenantObject } from "../environment.ts";
import { readQuery } from "../http/body.ts";
import { errorResponses } from "../http/error-responses.ts";

const seconds = z.coerce.number().int().min(0);

const query = z.object({
  by: z.enum(["hour", "day"]).default("day"),
  start: seconds.optional().openapi({ description: "Seconds since the epoch; from here on" }),
  end: seconds.optional().openapi({ description: "Seconds since the epoch; before this" }),
  model: z.string().optional(),
  key: z.string().optional().openapi({ description: "A key's public id" }),
});

const counts = {
  requests: z.int(),
  prompt_tokens: z.int(),
  completion_tokens: z.int(),
  total_tokens: z.int(),
  visible_tokens: z.int(),
  cached_tokens: z.int(),
  steps: z.int(),
  stages: z.int(),
  branches: z.int(),
};

const row = z
  .object({
    start: z.int().openapi({ description: "The hour's or day's begin, seconds since the epoch" }),
    model: z.string(),
    key: z.string(),
    ...counts,
    cache_hits: z.int(),
    incomplete: z.object({
      requests: z.int(),
      prompt_tokens: z.int(),
      completion_tokens: z.int(),
    }),
  })
  .openapi("UsageRow", {
    description:
      "Answers that were delivered whole: the sum of their usage blocks. Those that were cut off, by the client or by a failure, are counted under `incomplete`.",
  });

type Row = z.output<typeof row>;

export const route = createRoute({
  method: "get",
  path: "/v1/usage",
  summary: "What the caller's tenant used, by hour or day, model and key",
  security: [{ key: [] }],
  request: { query },
  responses: {
    200: {
      description: "Usage",
      content: {
        "application/json": {
          schema: z.object({
            object: z.literal("list"),
            by: z.enum(["hour", "day"]),
            data: z.array(row),
            totals: row.omit({ start: true, model: true, key: true }),
          }),
        },
      },
    },
    ...errorResponses,
  },
});

const span = { hour: 3_600, day: 86_400 };

/** A sum over the rows that were delivered, or over the others. */
const sum = (column: AnySQLiteColumn, whole = true) =>
  whole
    ? sql<number>`coalesce(sum(case when ${usage.status} = 200 then ${column} end), 0)`
    : sql<number>`coalesce(sum(case when ${usage.status} <> 200 then ${column} end), 0)`;

function add(a: Omit<Row, "start" | "model" | "key">, b: Row): typeof a {
  return {
    requests: a.requests + b.requests,
    prompt_tokens: a.prompt_tokens + b.prompt_tokens,
    completion_tokens: a.completion_tokens + b.completion_tokens,
    total_tokens: a.total_tokens + b.total_tokens,
    visible_tokens: a.visible_tokens + b.visible_tokens,
    cached_tokens: a.cached_tokens + b.cached_tokens,
    steps: a.steps + b.steps,
    stages: a.stages + b.stages,
    branches: a.branches + b.branches,
    cache_hits: a.cache_hits + b.cache_hits,
    incomplete: {
      requests: a.incomplete.requests + b.incomplete.requests,
      prompt_tokens: a.incomplete.prompt_tokens + b.incomplete.prompt_tokens,
      completion_tokens: a.incomplete.completion_tokens + b.incomplete.completion_tokens,
    },
  };
}

const zero = {
  requests: 0,
  prompt_tokens: 0,
  completion_tokens: 0,
  total_tokens: 0,
  visible_tokens: 0,
  cached_tokens: 0,
  steps: 0,
  stages: 0,
  branches: 0,
  cache_hits: 0,
  incomplete: { requests: 0, prompt_tokens: 0, completion_tokens: 0 },
};

export async function handle(
  request: Request,
  env: Environment,
  caller: Caller,
): Promise<Response> {
  const { by, start, end, model, key } = readQuery(request, query);
  // Rows still on their way to D1 belong to the answer.
  await tenantObject(env, caller.tenantId).flush();
  const width = span[by];
  // Literals: D1 binds every number as a real, and the division is to be an integer one.
  const bucket = sql<number>`(${usage.at} / ${sql.raw(`${width * 1_000}`)}) * ${sql.raw(`${width}`)}`;
  const found = await drizzle(env.DB)
    .select({
      start: bucket,
      model: usage.model,
      key: usage.keyId,
      requests: sql<number>`sum(${usage.status} = 200)`,
      prompt_tokens: sum(usage.promptTokens),
      completion_tokens: sum(usage.completionTokens),
      visible_tokens: sum(usage.visibleTokens),
      cached_tokens: sum(usage.cachedTokens),
      steps: sum(usage.steps),
      stages: sum(usage.stages),
      branches: sum(usage.branches),
      cache_hits: sql<number>`sum(${usage.status} = 200 and ${usage.cache} = 'hit')`,
      cutRequests: sql<number>`sum(${usage.status} <> 200)`,
      cutPromptTokens: sum(usage.promptTokens, false),
      cutCompletionTokens: sum(usage.completionTokens, false),
    })
    .from(usage)
    .where(
      and(
        eq(usage.tenantId, caller.tenantId),
        start === undefined ? undefined : gte(usage.at, start * 1_000),
        end === undefined ? undefined : lt(usage.at, end * 1_000),
        model === undefined ? undefined : eq(usage.model, model),
        key === undefined ? undefined : eq(usage.keyId, key),
      ),
    )
    .groupBy(bucket, usage.model, usage.keyId)
    .orderBy(bucket, usage.model, usage.keyId);
  const data = found.map(({ cutRequests, cutPromptTokens, cutCompletionTokens, ...rest }): Row => {
    return {
      ...rest,
      total_tokens: rest.prompt_tokens + rest.completion_tokens,
      incomplete: {
        requests: cutRequests,
        prompt_tokens: cutPromptTokens,
        completion_tokens: cutCompletionTokens,
      },
    };
  });
  return Response.json({ object: "list", by, data, totals: data.reduce(add, zero) });
}
