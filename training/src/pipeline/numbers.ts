// Finds calculations in text: their operands and results.

/** The numbers of a text in a form that compares: without thousands separators, signs or trailing zeros. */
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

/** A text without GSM8K's <<a*b=c>> notes. */
export const withoutNotes = (text: string) => text.replace(/<<[^<>]*>>/g, "");

/** The calculation in a line, if there is one. */
export function sumOf(line: string): Sum | undefined {
  const text = withoutNotes(line);
  const at = Math.max(text.lastIndexOf("="), text.lastIndexOf("≈"));
  if (at === -1) return undefined;
  const operands = numbersIn(text.slice(0, at));
  const [result] = numbersIn(money.exec(text.slice(at + 1))?.[0] ?? "");
  return operands.length === 0 || result === undefined ? undefined : { operands, result };
}

/** Operands of calculations, and all numbers that are too specific to recur by chance. */
export function workedWith(text: string): string[] {
  const plain = withoutNotes(text);
  const specific = numbersIn(plain).filter((number) => number.replace(".", "").length > 2);
  return Array.from(plain.matchAll(/[=≈]/g))
    .flatMap(({ index }) => {
      let from = index;
      while (from > 0 && /[\d.,\s$€£%+\-*/×÷x()]/.test(plain[from - 1] ?? "")) from--;
      return numbersIn(plain.slice(from, index));
    })
    .concat(specific);
}
