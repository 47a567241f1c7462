// Prices as this isolate knows them. A change works everywhere within two seconds; while D1 can't be reached, those
// that were read last go on.
import { ApiError } from "../api-error.ts";
import type { Environment } from "../environment.ts";
import { late, within } from "../http/patience.ts";
import type { Price } from "./price.ts";
import { readPrices } from "./prices-store.ts";

/** Younger than this, they are used without asking D1. */
const freshMs = 1_500;
/** How long a request waits for D1 if there are older ones, and if there are none. */
const patienceMs = 100;
const timeoutMs = 5_000;

let cached: { prices: Map<string, Price>; at: number } | undefined;

/** What the model's tokens cost now; null: nothing. Throws a 503 ApiError if that can't be looked up. */
export async function currentPrice(
  env: Environment,
  model: string,
  waitUntil: (promise: Promise<unknown>) => void,
): Promise<Price | null> {
  const now = Date.now();
  if (!cached || now - cached.at >= freshMs) {
    const known = cached;
    const asked = readPrices(env.DB, now).then((prices) => {
      cached = { prices, at: now };
    });
    waitUntil(asked.catch((error) => console.error("prices were not read", error)));
    const answered = await within(asked, known ? patienceMs : timeoutMs).catch(() => late);
    if (answered === late && !cached) {
      throw new ApiError(503, "The model's price could not be looked up; try again.", {
        code: "prices_unavailable",
        headers: { "retry-after": "1" },
      });
    }
  }
  return cached?.prices.get(model) ?? null;
}

/** For tests: as if this isolate had just started. */
export function forgetPrices(): void {
  cached = undefined;
}
