// Rows of usage as a gateway of some tenants has them: 30 days, busier by day, a few tenants with most of the requests.
import type { DatabaseSync } from "node:sqlite";
import { say } from "./report.ts";

const days = 30;
const daySeconds = 86_400;
/** The end of the last day: 2026-10-31 in UTC. */
export const lastSecond = Date.UTC(2026, 9, 31) / 1_000;

const tenants = Array.from({ length: 50 }, (_, index) => `tenant-${index + 1}`);
export const busiestTenant = "tenant-1";

/** Numbers from 0 up to 1, the same each time: a linear congruential generator (Knuth's MMIX has its constants). */
function randomness(): () => number {
  let state = 20_261_031;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

/** By Zipf's law: the n-th of them has 1/n of the first one's share. */
function zipf(count: number): (share: number) => number {
  const sums: number[] = [];
  for (let n = 1; n <= count; n++) sums.push((sums.at(-1) ?? 0) + 1 / n);
  const total = sums.at(-1) ?? 1;
  return (share) => sums.findIndex((sum) => sum >= share * total);
}

/** Half of the requests fall into the eight busiest hours. */
function secondOfDay(random: () => number): number {
  const hours = random() < 0.5 ? 8 + 8 * random() : 24 * random();
  return Math.floor(hours * 3_600);
}

/** Adds `count` rows, numbered from `first`, in order of their time. */
export function fillUsage(db: DatabaseSync, count: number, first = 0): void {
  const random = randomness();
  const tenantOf = zipf(tenants.length);
  const keyOf = zipf(3);
  const insert =
    db.prepare(`INSERT INTO usage (request_id, tenant_id, key_id, model, endpoint, at, status, cache, mode,
      stream, worker, prompt_tokens, completion_tokens, visible_tokens, cached_tokens, steps, stages, branches,
      started_ms, first_text_ms, total_ms, probability, predicted_speedup, cost)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`);
  const perDay = Math.ceil(count / days);
  for (let at = 0; at < count; at++) {
    const tenant = tenantOf(random());
    const failed = random() < 0.03;
    const status = failed ? ([499, 429, 502, 400][Math.floor(4 * random())] ?? 499) : 200;
    const hit = !failed && random() < 0.1;
    const parallel = random() < 0.5;
    const branches = parallel && random() < 0.4 ? 2 + Math.floor(5 * random()) : 0;
    const tokens = 20 + Math.floor(600 * random() ** 2);
    // About log-normal: the sum of four uniform numbers is near a normal one.
    const slow = Math.exp(random() + random() + random() + random() - 2);
    const firstText = Math.round(hit ? 3 * slow : 180 * slow);
    const when = lastSecond - (days - Math.floor(at / perDay)) * daySeconds + secondOfDay(random);
    const worker = hit || status === 400 ? null : `worker-${1 + Math.floor(4 * random())}`;
    insert.run(
      ...[`request-${first + at}`, tenants[tenant] ?? busiestTenant],
      ...[
        `key-${tenant}-${keyOf(random())}`,
        `model-${1 + ((tenant + (random() < 0.2 ? 1 : 0)) % 3)}`,
      ],
      ...["/v1/chat/completions", when * 1_000 + Math.floor(1_000 * random()), status],
      ...[
        hit ? "hit" : random() < 0.3 ? "miss" : "bypass",
        parallel ? "parallel" : "serial",
        1,
        worker,
      ],
      ...[
        50 + Math.floor(2_000 * random() ** 3),
        tokens,
        tokens - branches,
        Math.floor(50 * random()),
      ],
      ...[branches ? Math.ceil(tokens / 2) : tokens, branches ? 1 : 0, branches],
      ...[failed ? null : firstText, failed ? null : firstText],
      ...[failed ? 5 : Math.round(firstText + (hit ? 1 : tokens * 9 * slow))],
      ...[parallel ? 0.3 : null, parallel ? 1.6 : null, tokens * 15],
    );
    if (at % 1_000_000 === 999_999) say(`${at + 1} rows`);
  }
}
