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

/** Titles of all branches. */
export const titlesOf = (parts: readonly AnswerPart[]): string[] =>
  parts.flatMap((part) => ("parallel" in part ? part.parallel.map(({ title }) => title) : []));
