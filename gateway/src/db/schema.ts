// The tables in D1. Every row has a `tenant_id`.

import {
  index,
  integer,
  primaryKey,
  real,
  sqliteTable,
  text,
  uniqueIndex,
} from "drizzle-orm/sqlite-core";
import type { OperatorScope, Scope } from "../auth/key-settings.ts";

/** null: no limit. */
const limitColumns = () => ({
  /** Requests per minute. */
  rpm: integer("rpm"),
  /** Tokens per minute. */
  tpm: integer("tpm"),
  /** Requests at once. */
  maxConcurrent: integer("max_concurrent"),
  /** Tokens per calendar month. */
  tokensPerMonth: integer("tokens_per_month"),
  /** Money per calendar month, in millionths of the currency's unit. */
  costPerMonth: integer("cost_per_month"),
});

export const tenants = sqliteTable("tenants", {
  tenantId: text("tenant_id").primaryKey(),
  createdAt: integer("created_at", { mode: "timestamp_ms" }).notNull(),
  /** Its part of a full worker, beside that of others. */
  weight: integer("weight").notNull().default(1),
  /** Of all its keys together. */
  ...limitColumns(),
});

export const keys = sqliteTable(
  "keys",
  {
    /** The public part of the key. */
    keyId: text("key_id").primaryKey(),
    tenantId: text("tenant_id")
      .notNull()
      .references(() => tenants.tenantId),
    /** HMAC-SHA-256 of the whole key under the environment's secret, in hex. */
    hash: text("hash").notNull(),
    ...limitColumns(),
    createdAt: integer("created_at", { mode: "timestamp_ms" }).notNull(),
    /** For people. */
    name: text("name").notNull().default(""),
    /** JSON: what it may be used for; null: everything. */
    scopes: text("scopes", { mode: "json" }).$type<Scope[]>(),
    /** JSON: the models it may use; null: all. */
    models: text("models", { mode: "json" }).$type<string[]>(),
    /** When it ends, ms since the epoch; null: never. */
    expiresAt: integer("expires_at"),
    /** Where requests wait, those of a higher one go first. */
    priority: integer("priority").notNull().default(0),
    /** When it was revoked, ms since the epoch. */
    revokedAt: integer("revoked_at"),
  },
  (table) => [index("keys_by_tenant").on(table.tenantId)],
);

/** Operators' credentials, beside the one of the environment. */
export const operators = sqliteTable("operators", {
  /** The public part of the credential. */
  operatorId: text("operator_id").primaryKey(),
  /** HMAC-SHA-256 of the whole credential under the environment's secret, in hex. */
  hash: text("hash").notNull(),
  /** For people. */
  name: text("name").notNull(),
  scope: text("scope").notNull().$type<OperatorScope>(),
  /** ms since the epoch, as all times here; null: never. */
  createdAt: integer("created_at").notNull(),
  expiresAt: integer("expires_at"),
  revokedAt: integer("revoked_at"),
});

/** One row per change that an operator made. */
export const audit = sqliteTable(
  "audit",
  {
    id: integer("id").primaryKey({ autoIncrement: true }),
    /** ms since the epoch */
    at: integer("at").notNull(),
    requestId: text("request_id").notNull(),
    /** The id of the operator's credential; empty: the one of the environment. */
    operator: text("operator").notNull().default(""),
    /** What was done, such as key.create. */
    action: text("action").notNull(),
    tenantId: text("tenant_id").notNull(),
    keyId: text("key_id").notNull(),
    /** JSON: the settings that the key has afterwards. Never a key. */
    detail: text("detail", { mode: "json" }).notNull().$type<Record<string, unknown>>(),
  },
  (table) => [index("audit_by_tenant").on(table.tenantId, table.id)],
);

/** One row per request that passed authentication and limits. */
export const usage = sqliteTable(
  "usage",
  {
    requestId: text("request_id").primaryKey(),
    tenantId: text("tenant_id").notNull(),
    keyId: text("key_id").notNull(),
    model: text("model").notNull(),
    endpoint: text("endpoint").notNull(),
    /** Arrival of the request, ms since the epoch. */
    at: integer("at").notNull(),
    /** How it ended, as an HTTP status: 200, 499 if the client left, else the error's status. */
    status: integer("status").notNull(),
    /** hit, miss or bypass */
    cache: text("cache").notNull(),
    /** serial or parallel: the decided mode. */
    mode: text("mode").notNull(),
    stream: integer("stream", { mode: "boolean" }).notNull(),
    worker: text("worker"),
    promptTokens: integer("prompt_tokens").notNull(),
    completionTokens: integer("completion_tokens").notNull(),
    visibleTokens: integer("visible_tokens").notNull(),
    cachedTokens: integer("cached_tokens").notNull(),
    steps: integer("steps").notNull(),
    stages: integer("stages").notNull(),
    branches: integer("branches").notNull(),
    /** ms since the request's arrival; null if it never got that far. */
    startedMs: integer("started_ms"),
    firstTextMs: integer("first_text_ms"),
    totalMs: integer("total_ms").notNull(),
    /** What the classifier expected; null if there was nothing that it could read. */
    probability: real("probability"),
    predictedSpeedup: real("predicted_speedup"),
    /** By the price of its time, in millionths of the currency's unit. */
    cost: integer("cost").notNull().default(0),
  },
  (table) => [index("usage_by_tenant_and_time").on(table.tenantId, table.at)],
);

/**
 * What usage is rolled up by: a row for each combination that has occurred. The trigger `usage_roll_up`
 * (migrations/0007) adds each new row of `usage` to its group's sums and times, in the transaction that writes it:
 * once, however often the row is sent. Deleting rows leaves them.
 */
export const usageGroups = sqliteTable(
  "usage_groups",
  {
    groupId: integer("group_id").primaryKey(),
    tenantId: text("tenant_id").notNull(),
    keyId: text("key_id").notNull(),
    model: text("model").notNull(),
    endpoint: text("endpoint").notNull(),
    mode: text("mode").notNull(),
    status: integer("status").notNull(),
    cache: text("cache").notNull(),
    /** Empty: none. */
    worker: text("worker").notNull(),
    /** Whether an answer began. */
    started: integer("started").notNull(),
    /** Whether the classifier had an expectation. */
    predicted: integer("predicted").notNull(),
  },
  (table) => [
    uniqueIndex("usage_groups_by_content").on(
      table.tenantId,
      table.keyId,
      table.model,
      table.endpoint,
      table.mode,
      table.status,
      table.cache,
      table.worker,
      table.started,
      table.predicted,
    ),
  ],
);

/**
 * Of a group and a period of UTC. In SQL both tables are WITHOUT ROWID: the sums of a group lie side by side, which is what
 * a tenant's report reads, and the times of a period, which add up in that order without sorting.
 */
const periodColumns = () => ({
  groupId: integer("group_id").notNull(),
  /** Seconds: a quarter of an hour, or a day. */
  period: integer("period").notNull(),
  /** Seconds since the epoch. */
  start: integer("start").notNull(),
});

export const usageSums = sqliteTable(
  "usage_sums",
  {
    ...periodColumns(),
    requests: integer("requests").notNull(),
    promptTokens: integer("prompt_tokens").notNull(),
    completionTokens: integer("completion_tokens").notNull(),
    visibleTokens: integer("visible_tokens").notNull(),
    cachedTokens: integer("cached_tokens").notNull(),
    steps: integer("steps").notNull(),
    stages: integer("stages").notNull(),
    branches: integer("branches").notNull(),
    cost: integer("cost").notNull(),
    /** Answers with a stage. */
    branched: integer("branched").notNull(),
    /** Of the classifier: its probabilities, and the steps that it expected. */
    probability: real("probability").notNull(),
    expectedSteps: real("expected_steps").notNull(),
  },
  (table) => [primaryKey({ columns: [table.groupId, table.period, table.start] })],
);

/** How long whole answers took: a histogram. */
export const usageTimes = sqliteTable(
  "usage_times",
  {
    ...periodColumns(),
    /** 0: to the first text; 1: in total. */
    measure: integer("measure").notNull(),
    /** The shortest time that it counts, in ms (usage/histogram-store.ts). */
    bucket: integer("bucket").notNull(),
    requests: integer("requests").notNull(),
  },
  (table) => [
    primaryKey({
      columns: [table.period, table.start, table.measure, table.bucket, table.groupId],
    }),
  ],
);

/** What tokens of models cost, from some time on until the next price of the model. */
export const prices = sqliteTable(
  "prices",
  {
    model: text("model").notNull(),
    /** ms since the epoch */
    fromAt: integer("from_at").notNull(),
    /** The same in all rows. */
    currency: text("currency").notNull(),
    /** Millionths of the currency's unit for a million tokens, all three; null: the model costs nothing. */
    prompt: integer("prompt"),
    cached: integer("cached"),
    visible: integer("visible"),
  },
  (table) => [primaryKey({ columns: [table.model, table.fromAt] })],
);

/** How many requests were refused before they reserved anything, by minute: a flood of them is one row. */
export const refusals = sqliteTable(
  "refusals",
  {
    tenantId: text("tenant_id").notNull(),
    keyId: text("key_id").notNull(),
    endpoint: text("endpoint").notNull(),
    /** The HTTP status. */
    status: integer("status").notNull(),
    /** The beginning of the minute, ms since the epoch. */
    at: integer("at").notNull(),
    requests: integer("requests").notNull(),
  },
  (table) => [
    primaryKey({
      columns: [table.tenantId, table.at, table.keyId, table.endpoint, table.status],
    }),
  ],
);
