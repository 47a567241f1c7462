// Prices in D1, each with the time from which it holds. Earlier ones stay: they say what old usage was charged by.
// Each change and its line in the audit log are one transaction.
import { and, asc, eq, gt, lte, sql } from "drizzle-orm";
import { drizzle } from "drizzle-orm/d1";
import { AuditStore } from "../admin/audit-store.ts";
import { ApiError } from "../api-error.ts";
import { prices } from "../db/schema.ts";
import type { RequestContext } from "../http/context.ts";
import type { Price } from "./price.ts";

export type StoredPrice = typeof prices.$inferSelect;
/** More are refused: all are listed at once, and gateways read them often. */
const maxPrices = 10_000;

/** The prices that hold at `now` (ms since the epoch), by model. Models without one are missing. */
export async function readPrices(d1: D1Database, now: number): Promise<Map<string, Price>> {
  const rows = await drizzle(d1)
    .select({
      model: prices.model,
      prompt: prices.prompt,
      cached: prices.cached,
      visible: prices.visible,
      // SQLite takes the other columns from the row that has the maximum.
      fromAt: sql<number>`max(${prices.fromAt})`,
    })
    .from(prices)
    .where(lte(prices.fromAt, now))
    .groupBy(prices.model);
  return new Map(
    rows.flatMap(({ model, prompt, cached, visible }) =>
      prompt === null || cached === null || visible === null
        ? []
        : [[model, { prompt, cached, visible }] as const],
    ),
  );
}

/** The currency of all prices; null: there has never been a price. */
export async function readCurrency(d1: D1Database): Promise<string | null> {
  const row = await drizzle(d1).select({ currency: prices.currency }).from(prices).limit(1).get();
  return row?.currency ?? null;
}

/** For one request of an operator. */
export class PricesStore {
  readonly #context: RequestContext;
  readonly #db;

  constructor(context: RequestContext) {
    this.#context = context;
    this.#db = drizzle(context.env.DB);
  }

  /** Past, present and future ones, by model and time. */
  async list(model?: string): Promise<StoredPrice[]> {
    return await this.#db
      .select()
      .from(prices)
      .where(model === undefined ? undefined : eq(prices.model, model))
      .orderBy(asc(prices.model), asc(prices.fromAt));
  }

  /** Throws a 409 ApiError if prices have another currency: what was used could not be added up any more. */
  async set(model: string, currency: string, price: Price, fromAt: number): Promise<StoredPrice> {
    const known = await readCurrency(this.#context.env.DB);
    if (known !== null && known !== currency) {
      const message = `The prices of this gateway are in ${known}; '${currency}' can't be added to that.`;
      throw new ApiError(409, message, { code: "currency_mismatch" });
    }
    if ((await this.list()).length >= maxPrices) {
      throw new ApiError(409, `There are ${maxPrices} prices already, past ones included.`, {
        code: "too_many_prices",
      });
    }
    const row = { model, fromAt, currency, ...price };
    await this.#db.batch([
      this.#db
        .insert(prices)
        .values(row)
        .onConflictDoUpdate({ target: [prices.model, prices.fromAt], set: price }),
      this.#entry("price.set", row),
    ]);
    return row;
  }

  /** The model costs nothing from now on. Throws a 404 ApiError if it has no price and will have none. */
  async delete(model: string): Promise<void> {
    const now = Date.now();
    const all = await this.list(model);
    const present = all.findLast(({ fromAt }) => fromAt <= now);
    const future = all.some(({ fromAt }) => fromAt > now);
    const { currency } = all[0] ?? {};
    if (currency === undefined || (!future && (present?.prompt ?? null) === null)) {
      const message = `The model '${model}' has no price.`;
      throw new ApiError(404, message, { code: "price_not_found" });
    }
    const none = { prompt: null, cached: null, visible: null };
    await this.#db.batch([
      this.#db.delete(prices).where(and(eq(prices.model, model), gt(prices.fromAt, now))),
      this.#db
        .insert(prices)
        .values({ model, fromAt: now, currency, ...none })
        .onConflictDoUpdate({ target: [prices.model, prices.fromAt], set: none }),
      this.#entry("price.delete", { model }),
    ]);
  }

  #entry(action: "price.set" | "price.delete", detail: Record<string, unknown>) {
    return new AuditStore(this.#context).entry({ action, tenantId: "", keyId: "", detail });
  }
}
