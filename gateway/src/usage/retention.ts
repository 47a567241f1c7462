// How long usage is kept: rows, one for each request, and the sums that outlive them.
import type { Environment } from "../environment.ts";

const daySeconds = 86_400;

type Settings = Pick<Environment, "ANABRANCH_USAGE_ROW_DAYS" | "ANABRANCH_USAGE_DAYS">;

/** The beginning of the UTC day `days` ago, in seconds since the epoch; 0 without a number of days: all is kept. */
const daysAgo = (days: string | undefined, now: number): number =>
  days ? (Math.floor(now / 1_000 / daySeconds) - Number(days)) * daySeconds : 0;

/** What is older goes: rows and sums from before these times, in seconds since the epoch. */
export function expiredBefore(
  { ANABRANCH_USAGE_ROW_DAYS, ANABRANCH_USAGE_DAYS }: Settings,
  now = Date.now(),
): { rows: number; sums: number } {
  const sums = Math.max(0, daysAgo(ANABRANCH_USAGE_DAYS, now));
  return { rows: Math.max(sums, daysAgo(ANABRANCH_USAGE_ROW_DAYS, now)), sums };
}

/** From when on reports can rely on rows: a day more, for one may run while the day changes. */
export function keptFrom(settings: Settings, now = Date.now()): number {
  const { rows } = expiredBefore(settings, now);
  return rows === 0 ? 0 : rows + daySeconds;
}
