// Counts requests that were refused before they reserved anything: those over a limit, and those with a fault of their
// own. They are added up in this isolate and written together, so that a flood of them costs little.
import type { Caller } from "../auth/key-store.ts";
import { addRefusals, type RefusalRow } from "./refusals-store.ts";

const flushAfterMs = 500;
const minuteMs = 60_000;
/** Counters that wait while D1 is away; more are dropped. */
const maxCounters = 10_000;
const maxPerBatch = 100;

const counters = new Map<string, RefusalRow>();
let flushing = false;

/** Call it with the platform's `waitUntil`: the count is written in a moment. */
export function countRefusal(
  db: D1Database,
  { tenantId, keyId }: Caller,
  endpoint: string,
  status: number,
  waitUntil: (promise: Promise<unknown>) => void,
): void {
  const at = Math.floor(Date.now() / minuteMs) * minuteMs;
  const name = JSON.stringify([tenantId, keyId, endpoint, status, at]);
  const counter = counters.get(name);
  if (counter) counter.requests++;
  else if (counters.size < maxCounters) {
    counters.set(name, { tenantId, keyId, endpoint, status, at, requests: 1 });
  }
  if (flushing) return;
  flushing = true;
  waitUntil(flushSoon(db));
}

async function flushSoon(db: D1Database): Promise<void> {
  await scheduler.wait(flushAfterMs);
  // Whoever is refused from now on flushes again.
  flushing = false;
  const taken = [...counters].slice(0, maxPerBatch);
  for (const [name] of taken) counters.delete(name);
  try {
    await addRefusals(
      db,
      taken.map(([, row]) => row),
    );
  } catch (error) {
    console.error("refusals were not written; trying again with the next ones", error);
    for (const [name, row] of taken) {
      const since = counters.get(name);
      counters.set(name, { ...row, requests: row.requests + (since?.requests ?? 0) });
    }
  }
}
