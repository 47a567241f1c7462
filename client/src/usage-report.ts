// `GET /v1/usage`.

export interface UsageQuery {
  by?: "hour" | "day";
  /** Seconds since the epoch, here and below. */
  start?: number;
  end?: number;
  /** Minutes from UTC to the zone whose days and hours are meant. */
  utc_offset?: number;
  model?: string;
  /** A key's public id. */
  key?: string;
}

export interface UsageTotals {
  requests: number;
  prompt_tokens: number;
  completion_tokens: number;
  total_tokens: number;
  visible_tokens: number;
  cached_tokens: number;
  steps: number;
  stages: number;
  branches: number;
  /** In the report's currency. */
  cost: string;
  cache_hits: number;
  /** Of answers that were cut off, by their client or by a failure. */
  incomplete: {
    requests: number;
    prompt_tokens: number;
    completion_tokens: number;
    cost: string;
  };
  refused: number;
}

export interface UsageRow extends UsageTotals {
  start: number;
  model: string;
  key: string;
}

export interface UsageReport {
  by: "hour" | "day";
  /** Null: nothing has a price. */
  currency: string | null;
  data: UsageRow[];
  totals: UsageTotals;
  /** What was spent in this calendar month, UTC. */
  month: { key: Budget; tenant: Budget };
}

/** Beside what may be spent; null: no limit. */
export interface Budget {
  tokens: number;
  tokens_per_month: number | null;
  cost: string;
  cost_per_month: string | null;
}
