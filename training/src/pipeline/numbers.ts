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

/** Numbers that take part in an expression with a value, and all that are too odd to be chance. */
export function workedWith(text: string): string[] {
  const plain = withoutNotes(text);
  const odd = numbersIn(plain).filter((number) => number.replace(".", "").length > 2);
  return Array.from(plain.matchAll(/[=≈]/g))
    .flatMap(({ index }) => {
      let from = index;
      while (from > 0 && /[\d.,\s$€£%+\-*/×÷x()]/.test(plain[from - 1] ?? "")) from--;
      return numbersIn(plain.slice(from, index));
    })
    .concat(odd);
}
