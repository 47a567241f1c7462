// The structure of an answer: `message.anabranch.parts`, in answers and in the history that clients
// send back.

/** One branch of a stage. */
export interface BranchPart {
  title: string;
  body: string;
}

/** A run of serial text, or a stage with its branches in title order. */
export type AnswerPart = { serial: string } | { parallel: BranchPart[] };

/** The answer's text: serial texts and branch bodies in document order. */
export function textOfParts(parts: readonly AnswerPart[]): string {
  return parts
    .map((part) =>
      "serial" in part ? part.serial : part.parallel.map(({ body }) => body).join(""),
    )
    .join("");
}

/**
 * What the text of an answer shows of a declared branch beside its body: the title, as Markdown.
 * @param index of the branch in its stage
 */
export const leadOf = (title: string, index: number): string =>
  `${index === 0 ? "" : "\n\n"}**${title}**\n\n`;

/** The answer's text if its branches were declared: each body under its title. */
export function textUnderTitles(parts: readonly AnswerPart[]): string {
  return parts
    .map((part) =>
      "serial" in part
        ? part.serial
        : part.parallel.map(({ title, body }, index) => leadOf(title, index) + body).join(""),
    )
    .join("");
}

/** Titles of all branches. */
export const titlesOf = (parts: readonly AnswerPart[]): string[] =>
  parts.flatMap((part) => ("parallel" in part ? part.parallel.map(({ title }) => title) : []));
