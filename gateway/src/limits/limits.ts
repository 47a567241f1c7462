// What a key, or a tenant as a whole, may use.
import { z } from "@hono/zod-openapi";
import { amount, amountOf, microsOf } from "../prices/money.ts";

/** null: no limit. */
export interface Limits {
  /** Requests per minute. */
  rpm: number | null;
  /** Tokens per minute. */
  tpm: number | null;
  /** Requests at once. */
  maxConcurrent: number | null;
  /** Tokens per calendar month, UTC. */
  tokensPerMonth: number | null;
  /** Money per calendar month, UTC, in millionths of the currency's unit. */
  costPerMonth: number | null;
}

/** Whose limits they are. */
export type Holder = "key" | "tenant";

export const noLimits: Limits = {
  rpm: null,
  tpm: null,
  maxConcurrent: null,
  tokensPerMonth: null,
  costPerMonth: null,
};

export const isLimited = (limits: Limits): boolean =>
  Object.keys(noLimits).some((name) => limits[name as keyof Limits] !== null);

const limit = (most: number, description: string) =>
  z.int().min(1).max(most).nullable().optional().openapi({ description });

/** The fields of the admin API, all optional. */
export const limitFields = {
  rpm: limit(1e9, "Requests per minute; null: no limit"),
  tpm: limit(1e9, "Tokens per minute; null: no limit"),
  max_concurrent: limit(1e6, "Requests at once; null: no limit"),
  tokens_per_month: limit(1e15, "Tokens per calendar month, UTC; null: no limit"),
  cost_per_month: amount(9).nullable().optional().openapi({
    description:
      'Money per calendar month, UTC, in the currency of the prices, such as "250.00"; null: no limit',
  }),
};

type LimitFields = { [K in keyof typeof limitFields]?: z.output<(typeof limitFields)[K]> };

const microsIfGiven = (text: string | null | undefined) =>
  typeof text === "string" ? microsOf(text) : text;

/** `before` with the limits that are given. */
export function withLimits(before: Limits, given: LimitFields): Limits {
  const either = (value: number | null | undefined, old: number | null) =>
    value === undefined ? old : value;
  return {
    rpm: either(given.rpm, before.rpm),
    tpm: either(given.tpm, before.tpm),
    maxConcurrent: either(given.max_concurrent, before.maxConcurrent),
    tokensPerMonth: either(given.tokens_per_month, before.tokensPerMonth),
    costPerMonth: either(microsIfGiven(given.cost_per_month), before.costPerMonth),
  };
}

/** Of an answer of the admin API. */
export const shownLimits = {
  rpm: z.int().nullable(),
  tpm: z.int().nullable(),
  max_concurrent: z.int().nullable(),
  tokens_per_month: z.int().nullable(),
  cost_per_month: z.string().nullable(),
};

export const limitsView = ({ rpm, tpm, maxConcurrent, tokensPerMonth, costPerMonth }: Limits) => ({
  rpm,
  tpm,
  max_concurrent: maxConcurrent,
  tokens_per_month: tokensPerMonth,
  cost_per_month: costPerMonth === null ? null : amountOf(costPerMonth),
});
