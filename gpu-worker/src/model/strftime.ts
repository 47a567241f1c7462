// Dates as Python writes them on Linux: datetime.strftime of a local time without a zone, in the C locale.

const days = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const months = [
  ...["January", "February", "March", "April", "May", "June", "July", "August", "September"],
  ...["October", "November", "December"],
];
const dayMs = 86_400_000;

/** Days since the first of January. */
const dayOfYear = (date: Date): number =>
  (Date.UTC(date.getFullYear(), date.getMonth(), date.getDate()) -
    Date.UTC(date.getFullYear(), 0, 1)) /
  dayMs;

/** Weeks that have begun with this day of the week since the first of January. */
const weekFrom = (date: Date, firstDay: number): number =>
  Math.floor((dayOfYear(date) + 7 - ((date.getDay() - firstDay + 7) % 7)) / 7);

/** ISO 8601: a week belongs to the year of its Thursday. */
function thursdayOf(date: Date): Date {
  const fromMonday = (date.getDay() + 6) % 7;
  return new Date(date.getFullYear(), date.getMonth(), date.getDate() - fromMonday + 3);
}

const hour12 = (date: Date): number => date.getHours() % 12 || 12;

type Directive = (date: Date) => string;

const inWords = (value: Directive) => ({ value, width: 0, fill: "" });
const inDigits = (value: (date: Date) => number, width = 2, fill = "0") => ({
  value: (date: Date) => String(value(date)),
  ...{ width, fill },
});
const as = (format: string) => inWords((date) => strftime(format, date));

const directives: Record<string, { value: Directive; width: number; fill: string }> = {
  a: inWords((date) => (days[date.getDay()] ?? "").slice(0, 3)),
  A: inWords((date) => days[date.getDay()] ?? ""),
  b: inWords((date) => (months[date.getMonth()] ?? "").slice(0, 3)),
  B: inWords((date) => months[date.getMonth()] ?? ""),
  c: as("%a %b %e %H:%M:%S %Y"),
  C: inDigits((date) => Math.floor(date.getFullYear() / 100)),
  d: inDigits((date) => date.getDate()),
  D: as("%m/%d/%y"),
  e: inDigits((date) => date.getDate(), 2, " "),
  f: inDigits((date) => date.getMilliseconds() * 1000, 6),
  F: as("%Y-%m-%d"),
  g: inDigits((date) => thursdayOf(date).getFullYear() % 100),
  G: inDigits((date) => thursdayOf(date).getFullYear(), 4),
  h: as("%b"),
  H: inDigits((date) => date.getHours()),
  I: inDigits(hour12),
  j: inDigits((date) => dayOfYear(date) + 1, 3),
  k: inDigits((date) => date.getHours(), 2, " "),
  l: inDigits(hour12, 2, " "),
  m: inDigits((date) => date.getMonth() + 1),
  M: inDigits((date) => date.getMinutes()),
  n: inWords(() => "\n"),
  p: inWords((date) => (date.getHours() < 12 ? "AM" : "PM")),
  P: inWords((date) => (date.getHours() < 12 ? "am" : "pm")),
  r: as("%I:%M:%S %p"),
  R: as("%H:%M"),
  s: inDigits((date) => Math.floor(date.getTime() / 1000), 1),
  S: inDigits((date) => date.getSeconds()),
  t: inWords(() => "\t"),
  T: as("%H:%M:%S"),
  u: inDigits((date) => date.getDay() || 7, 1),
  U: inDigits((date) => weekFrom(date, 0)),
  V: inDigits((date) => Math.floor(dayOfYear(thursdayOf(date)) / 7) + 1),
  w: inDigits((date) => date.getDay(), 1),
  W: inDigits((date) => weekFrom(date, 1)),
  x: as("%m/%d/%y"),
  X: as("%H:%M:%S"),
  y: inDigits((date) => date.getFullYear() % 100),
  Y: inDigits((date) => date.getFullYear(), 1),
  z: inWords(() => ""),
  Z: inWords(() => ""),
  "%": inWords(() => "%"),
};

/** Directives may have one of the flags `-` (as short as it is), `_` (spaces), `0` and `^` (capitals). Unknown ones stay. */
export function strftime(format: string, date = new Date()): string {
  return format.replace(/%([-_0^]?)([A-Za-z%])/g, (text, flag: string, name: string) => {
    const found = Object.hasOwn(directives, name) ? directives[name] : undefined;
    if (!found) return text;
    const value = found.value(date);
    if (flag === "^") return value.toUpperCase();
    if (flag === "-") return value;
    const fill = flag === "_" ? " " : flag || found.fill;
    return value.padStart(found.width, fill);
  });
}
