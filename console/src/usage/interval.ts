// The interval that the page shows, from its address: the last days, or from one day to another.
import { query } from "../router.ts";

export const spans = { "1": "24 hours", "7": "7 days", "30": "30 days", "90": "90 days" } as const;

export const groupings = ["model", "key", "mode", "tenant", "worker", "status"] as const;
export type Grouping = (typeof groupings)[number];

const daySeconds = 86_400;
const hourSeconds = 3_600;
/** Longer intervals are told in days. */
const mostHourDays = 3;

export interface Interval {
  /** Seconds since the epoch: from `start`, before `end`. */
  start: number;
  end: number;
  by: "hour" | "day";
  /** Minutes east of UTC. */
  utcOffset: number;
}

/** The beginning of a day of the calendar, here; null if it is none. */
function dayAt(text: string | null): number | null {
  const [, year, month, day] = /^(\d{4})-(\d\d)-(\d\d)$/.exec(text ?? "") ?? [];
  return year ? new Date(Number(year), Number(month) - 1, Number(day)).getTime() / 1_000 : null;
}

/** Whole hours or days. One that is given in days ends with its last day. */
export function intervalOf(now: number): Interval {
  const utcOffset = -new Date(now).getTimezoneOffset();
  const [from, to] = [dayAt(query.value.get("from")), dayAt(query.value.get("to"))];
  const days = Number(query.value.get("days") ?? 1) || 1;
  const seconds = Math.floor(now / 1_000);
  const end = to !== null ? to + daySeconds : seconds + 1;
  const start = from ?? end - days * daySeconds;
  const by = end - start > mostHourDays * daySeconds ? "day" : "hour";
  return { start: bucketOf(start, by, utcOffset), end, by, utcOffset };
}

export const lengthOf = (by: "hour" | "day") => (by === "hour" ? hourSeconds : daySeconds);

/** The beginning of the hour or day that `seconds` is in, as the gateway reckons it. */
export function bucketOf(seconds: number, by: "hour" | "day", utcOffset: number): number {
  const [length, shift] = [lengthOf(by), utcOffset * 60];
  return Math.floor((seconds + shift) / length) * length - shift;
}

/** The beginnings of all hours or days. */
export function bucketsOf({ start, end, by, utcOffset }: Interval): number[] {
  const first = bucketOf(start, by, utcOffset);
  const count = Math.ceil((end - first) / lengthOf(by));
  return Array.from({ length: count }, (_, index) => first + index * lengthOf(by));
}

export const grouping = (): Grouping | null =>
  groupings.find((each) => each === query.value.get("by")) ?? null;
