// What npm run admin prints for people.
import type { Json } from "./admin-api.ts";

export const lines = (rows: readonly string[]): string => rows.map((row) => `${row}\n`).join("");

/** This machine's time in ISO 8601, such as 2027-01-31T12:00:00+01:00. */
export function localTime(ms: number): string {
  const minutes = -new Date(ms).getTimezoneOffset();
  const at = new Date(ms + minutes * 60_000).toISOString().slice(0, 19);
  const [hours, rest] = [Math.floor(Math.abs(minutes) / 60), Math.abs(minutes) % 60];
  const offset = [hours, rest].map((part) => String(part).padStart(2, "0")).join(":");
  return `${at}${minutes < 0 ? "-" : "+"}${offset}`;
}

/** Of seconds since the epoch, or null. */
export const date = (seconds: unknown): string =>
  typeof seconds === "number" ? localTime(seconds * 1_000) : "never";

export const limitTexts = (holder: Json): string[] => [
  `rpm ${holder.rpm ?? "–"}`,
  `tpm ${holder.tpm ?? "–"}`,
  `at once ${holder.max_concurrent ?? "–"}`,
  `a month ${holder.tokens_per_month ?? "–"}`,
  `cost a month ${holder.cost_per_month ?? "–"}`,
];

/** Rows under the names of their columns, in columns. */
export function table(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, i) => Math.max(...rows.map((row) => row[i]?.length ?? 0)));
  return lines(rows.map((row) => row.map((text, i) => text.padStart(widths[i] ?? 0)).join("  ")));
}
