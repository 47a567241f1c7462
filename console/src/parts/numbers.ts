const locale = "en";
const whole = new Intl.NumberFormat(locale, { maximumFractionDigits: 0 });
const two = new Intl.NumberFormat(locale, { minimumFractionDigits: 2, maximumFractionDigits: 2 });
const one = new Intl.NumberFormat(locale, { minimumFractionDigits: 1, maximumFractionDigits: 1 });

export const count = (value: number): string => whole.format(value);
/** null: there is none. */
export const limit = (value: number | null): string => (value === null ? "–" : count(value));
export const decimals = (value: number): string => two.format(value);

/** Milliseconds as people say them. */
export const duration = (ms: number): string =>
  ms < 1_000 ? `${whole.format(ms)} ms` : `${two.format(ms / 1_000)} s`;

export const rate = (value: number): string =>
  value < 100 ? one.format(value) : whole.format(value);

const dateTime = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
export const when = (ms: number): string => dateTime.format(ms);

/** How long ago, roughly. */
export function ago(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1_000));
  if (seconds < 2) return "now";
  if (seconds < 100) return `${seconds} s ago`;
  if (seconds < 6_000) return `${Math.round(seconds / 60)} min ago`;
  if (seconds < 172_800) return `${Math.round(seconds / 3_600)} h ago`;
  return `${Math.round(seconds / 86_400)} days ago`;
}

const amount = new Intl.NumberFormat(locale, {
  minimumFractionDigits: 2,
  maximumFractionDigits: 6,
});

/** An amount of the API, down to its millionths. */
export const money = (value: string | number): string => amount.format(Number(value));

/** What is left of a month's money. Amounts are whole millionths: differences are exact. */
export const left = (budget: string, spent: string): number =>
  Math.max(0, Math.round(1e6 * Number(budget)) - Math.round(1e6 * Number(spent))) / 1e6;
