// GET /v1/usage
import { z } from "@hono/zod-openapi";
import type { Caller } from "../auth/key-store.ts";
import { type Environment, tenantObject } from "../environment.ts";
import { readQuery } from "../http/body.ts";
import { tenantRoute } from "../http/route.ts";
import type { Holder } from "../limits/limits.ts";
import type { Spend } from "../limits/window.ts";
import { amountOf } from "../prices/money.ts";
import { readCurrency } from "../prices/prices-store.ts";
import { sumUsage, type UsageSums } from "./report-store.ts";
import { keptFrom } from "./retention.ts";
import { utcOffset } from "./utc-offset.ts";

const seconds = z.coerce.number().int().min(0);

const query = z.object({
  by: z.enum(["hour", "day"]).default("day"),
  start: seconds.optional().openapi({ description: "Seconds since the epoch; from this time on" }),
  end: seconds.optional().openapi({ description: "Seconds since the epoch; before this time" }),
  model: z.string().optional(),
  key: z.string().optional().openapi({ description: "A key's public id" }),
  utc_offset: utcOffset,
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
    start: z.int().openapi({ description: "Start of the hour or day, seconds since the epoch" }),
    model: z.string(),
    key: z.string(),
    ...counts,
    cost: z.string().openapi({ description: "By the prices of the time, in `currency`" }),
    cache_hits: z.int(),
    classification: z
      .object({
        requests: z.int(),
        expected_parallel: z.number(),
        parallel: z.int(),
        visible_tokens: z.int(),
        expected_steps: z.number(),
        steps: z.int(),
      })
      .openapi({
        description:
          "Of answers that were free to branch: how many the classifier expected to, and how many did; the steps that it expected for their visible tokens, and those that were taken",
      }),
    incomplete: z.object({
      requests: z.int(),
      prompt_tokens: z.int(),
      completion_tokens: z.int(),
      cost: z.string(),
    }),
    refused: z.int().openapi({ description: "Requests that were refused before an answer began" }),
  })
  .openapi("UsageRow", {
    description:
      "Answers that were delivered whole: the sum of their usage blocks. Those that were cut off, by the client or by a failure, are counted under `incomplete`.",
  });

const budget = z
  .object({
    tokens: z.int(),
    tokens_per_month: z.int().nullable(),
    cost: z.string(),
    cost_per_month: z.string().nullable(),
  })
  .openapi("Budget", {
    description: "What was spent in this calendar month, UTC, and what may be; null: no limit",
  });

/** What the caller's key and its tenant have spent this month, beside what they may. */
async function budgetsOf(env: Environment, { tenantId, keyId, limits }: Caller) {
  const spent = await tenantObject(env, tenantId).month();
  const of = (holder: Holder, { tokens, cost }: Spend): z.output<typeof budget> => {
    const { tokensPerMonth, costPerMonth } = limits[holder];
    return {
      ...{ tokens, tokens_per_month: tokensPerMonth, cost: amountOf(cost) },
      cost_per_month: costPerMonth === null ? null : amountOf(costPerMonth),
    };
  };
  return {
    key: of("key", spent.keys[keyId] ?? { tokens: 0, cost: 0 }),
    tenant: of("tenant", spent.tenant),
  };
}

type Shown = z.output<typeof row>;
/** The same, with money in millionths of the currency's unit. */
type Row = Omit<Shown, "cost" | "incomplete"> & {
  cost: number;
  incomplete: Omit<Shown["incomplete"], "cost"> & { cost: number };
};

const shown = <T extends Pick<Row, "cost" | "incomplete">>({ cost, incomplete, ...rest }: T) => ({
  ...rest,
  cost: amountOf(cost),
  incomplete: { ...incomplete, cost: amountOf(incomplete.cost) },
});

const secondsOf = { hour: 3_600, day: 86_400 };

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
    cost: a.cost + b.cost,
    cache_hits: a.cache_hits + b.cache_hits,
    classification: {
      requests: a.classification.requests + b.classification.requests,
      expected_parallel: a.classification.expected_parallel + b.classification.expected_parallel,
      parallel: a.classification.parallel + b.classification.parallel,
      visible_tokens: a.classification.visible_tokens + b.classification.visible_tokens,
      expected_steps: a.classification.expected_steps + b.classification.expected_steps,
      steps: a.classification.steps + b.classification.steps,
    },
    refused: a.refused + b.refused,
    incomplete: {
      requests: a.incomplete.requests + b.incomplete.requests,
      prompt_tokens: a.incomplete.prompt_tokens + b.incomplete.prompt_tokens,
      completion_tokens: a.incomplete.completion_tokens + b.incomplete.completion_tokens,
      cost: a.incomplete.cost + b.incomplete.cost,
    },
  };
}

function rowOf({
  cutRequests,
  cutPromptTokens,
  cutCompletionTokens,
  cutCost,
  predictedRequests,
  predictedParallel,
  predictedBranched,
  predictedTokens,
  predictedSteps,
  observedSteps,
  ...rest
}: UsageSums): Row {
  return {
    ...rest,
    total_tokens: rest.prompt_tokens + rest.completion_tokens,
    classification: {
      requests: predictedRequests,
      expected_parallel: predictedParallel,
      parallel: predictedBranched,
      visible_tokens: predictedTokens,
      expected_steps: predictedSteps,
      steps: observedSteps,
    },
    incomplete: {
      requests: cutRequests,
      prompt_tokens: cutPromptTokens,
      completion_tokens: cutCompletionTokens,
      cost: cutCost,
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
  cost: 0,
  cache_hits: 0,
  classification: {
    requests: 0,
    expected_parallel: 0,
    parallel: 0,
    visible_tokens: 0,
    expected_steps: 0,
    steps: 0,
  },
  incomplete: { requests: 0, prompt_tokens: 0, completion_tokens: 0, cost: 0 },
  refused: 0,
};

export const showUsage = tenantRoute({
  method: "get",
  path: "/v1/usage",
  scope: "usage",
  summary: "What the caller's tenant used, by hour or day, model and key",
  request: { query },
  response: {
    description: "Usage",
    schema: z.object({
      object: z.literal("list"),
      by: z.enum(["hour", "day"]),
      currency: z.string().nullable().openapi({ description: "Null: nothing has a price" }),
      data: z.array(row),
      totals: row.omit({ start: true, model: true, key: true }),
      month: z.object({ key: budget, tenant: budget }),
    }),
  },
  async handle({ request, env, caller }) {
    const { tenantId } = caller;
    const { by, model, key, start, end, utc_offset } = readQuery(request, query);
    // Rows on their way to D1 belong to the answer.
    await tenantObject(env, tenantId).flush();
    const found = await sumUsage(env.DB, {
      ...{ start, end, interval: secondsOf[by], utcOffset: utc_offset },
      where: { tenant: tenantId, ...(model && { model }), ...(key && { key }) },
      rowsFrom: keptFrom(env),
    });
    const data = found.map(rowOf);
    return {
      ...{ object: "list" as const, by, currency: await readCurrency(env.DB) },
      ...{ data: data.map(shown), totals: shown(data.reduce(add, zero)) },
      month: await budgetsOf(env, caller),
    };
  },
});
