/** Signs that an item can't be written without having seen an earlier one. */

export interface Written {
  title: string;
  text: string;
}

/** An item that opens with one of these goes on from the one before. */
const sequel =
  /^(then|next|after (that|this|which)|afterwards?|finally|lastly|subsequently|once (that|this|you|the)|now|again|from there|thus|therefore|hence|consequently|as a result|similarly|likewise|conversely|in contrast|by contrast)\b/i;

/** A reference to an earlier item, wherever it stands. */
const reference =
  /\b(as (mentioned|described|shown|noted|discussed|explained|seen) (above|before|earlier|previously)|(mentioned|described|shown|listed|noted) (above|earlier|before|previously)|the (above|previous|preceding|former|latter)\b|(from|in|of|by) (the )?(previous|preceding|last|first|prior) (step|item|point|section|part)|(repeat|from|in|of|after) steps? \d|steps? \d+ (above|and)|see (above|below)|from above)\b/i;

const numbered = /^(step|stage|phase)\s*(\d+|one|two|three|four|five|first)\b/i;

/** Why the items depend on each other, or undefined where no cue says so. */
export function dependence(items: readonly Written[]): string | undefined {
  const results: string[] = [];
  for (const [i, { title, text }] of items.entries()) {
    if (numbered.test(title)) return "numbered steps";
    const body = text
      .replace(/^\s*([-*+]|\d+[.)]|#+)\s+/, "")
      .replace(/\*\*/g, "")
      .trim();
    const afterTitle = body.startsWith(title)
      ? body.slice(title.length).replace(/^[\s:.–—-]+/, "")
      : body;
    if (i > 0 && (sequel.test(body) || sequel.test(afterTitle)))
      return "goes on from the one before";
    if (reference.test(body)) return "refers to another part";
    const operands = numbersBeforeEquals(body);
    if (operands.some((n) => results.includes(n))) return "uses an earlier result";
    const result = numberAfterLastEquals(body);
    if (result !== undefined) results.push(result);
  }
  return undefined;
}

/** Every number that takes part in an expression with a result. Linear in the text's length. */
function numbersBeforeEquals(text: string): string[] {
  const numbers: string[] = [];
  for (let at = text.indexOf("="); at !== -1; at = text.indexOf("=", at + 1)) {
    let from = at;
    while (from > 0 && /[\d.,\s$€£%+\-*/×÷x()]/.test(text[from - 1] ?? "")) from--;
    for (const [number] of text.slice(from, at).matchAll(/\d[\d,]*(?:\.\d+)?/g)) {
      numbers.push(number.replaceAll(",", ""));
    }
  }
  return numbers;
}

function numberAfterLastEquals(text: string): string | undefined {
  const after = text.slice(text.lastIndexOf("=") + 1);
  if (after.length === text.length) return undefined;
  return /^\s*[$€£]?(\d[\d,]*(?:\.\d+)?)/.exec(after)?.[1]?.replaceAll(",", "");
}
