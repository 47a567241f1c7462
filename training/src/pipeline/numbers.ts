// Calculations in text: which numbers go in, and what comes out.

/** Numbers as they compare: without thousands separators, signs and trailing zeros. */
export function numbersIn(text: string): string[] {
  return Array.from(text.matchAll(/\d+(?:,\d{3})*(?:\.\d+)?/g), ([number]) =>
    String(Number(number.replaceAll(",", ""))),
  );
}

export interface Sum {
  /** Every number before the last "=". */
  operands: string[];
  result: string;
}

const equals = /[=≈]/g;
const money = /^[\s$€£(*]*-?[\d,.]+/;

/** What GSM8K's <<a*b=c>> notes stand in. */
export const withoutNotes = (text: string) => text.replace(/<<[^<>]*>>/g, "");

/** A line that works something out. */
export function sumOf(line: string): Sum | undefined {
  const text = withoutNotes(line);
  const at = Math.max(text.lastIndexOf("="), text.lastIndexOf("≈"));
  if (at === -1) return undefined;
  const operands = numbersIn(text.slice(0, at));
  const [result] = numbersIn(money.exec(text.slice(at + 1))?.[0] ?? "");
  return operands.length === 0 || result === undefined ? undefined : { operands, result };
}

/** Every number that a text gives as the value of something. */
export function resultsIn(text: string): string[] {
  const plain = withoutNotes(text);
  return Array.from(plain.matchAll(equals)).flatMap(({ index }) =>
    numbersIn(money.exec(plain.slice(index + 1))?.[0] ?? ""),
  );
}
