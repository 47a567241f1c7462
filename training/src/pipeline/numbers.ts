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

/** A line that works something out. GSM8K's <<a*b=c>> notes are read as the text without them. */
export function sumOf(line: string): Sum | undefined {
  const text = line.replace(/<<[^<>]*>>/g, "");
  const equals = text.lastIndexOf("=");
  if (equals === -1) return undefined;
  const operands = numbersIn(text.slice(0, equals));
  const [result] = numbersIn(/^[\s$€£(]*[\d,.]+/.exec(text.slice(equals + 1))?.[0] ?? "");
  return operands.length === 0 || result === undefined ? undefined : { operands, result };
}
