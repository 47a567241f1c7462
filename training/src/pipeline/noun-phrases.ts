// Nouns that one text introduces ("a garden") and another refers to ("the garden").

const stop = "(?![\\p{L}'’-])";
const modifiers = "(?:[\\p{L}'’-]+ ){0,2}?";
const end =
  "(?=[.,;:!?)\\n]| (?:of|to|for|in|on|at|with|that|which|who|from|and|or|is|are|was|by|as|you|your|where|when|will|can|has|so|into|if|it|until|using|before|after|about|such|than|while|should|may|but)\\b)";
const indefinite = new RegExp(
  `\\b(?:a|an|some|one) ${modifiers}([\\p{L}'’-]{3,})${stop}${end}`,
  "giu",
);
const definite = new RegExp(
  `\\b(?:the|this|that|these|those) ${modifiers}([\\p{L}'’-]{3,})${stop}${end}`,
  "giu",
);
/** Nouns that may be definite without an introduction. */
const unique = new Set(
  "world time day end way number rest same most best importance process use need ability environment future past person amount level area type kind part reader user audience country government market company body point fact case key role value year week hour moment people situation problem issue topic subject task name system quality form result effect order state term group".split(
    " ",
  ),
);

/** The nouns of indefinite phrases. */
export const indefinites = (text: string) =>
  Array.from(text.matchAll(indefinite), ([, noun]) => (noun ?? "").toLowerCase());

/** The nouns of definite phrases that the text has not used before. */
export function definites(text: string): string[] {
  const lower = text.toLowerCase();
  return Array.from(text.matchAll(definite), ({ index, 1: noun }) => ({
    noun: (noun ?? "").toLowerCase(),
    index,
  }))
    .filter(({ noun, index }) => !unique.has(noun) && !lower.slice(0, index).includes(noun))
    .map(({ noun }) => noun);
}
