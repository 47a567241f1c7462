// IFEval's groups "detectable_format" and "detectable_content".
import { type Check, numberOf, stringOf } from "./parameters.ts";
import { count, strip } from "./text.ts";

const numberPlaceholders: Check = (text, parameters) =>
  count(text, /\[[^\n]*?\]/g) >= numberOf(parameters, "num_placeholders");

const markers: Readonly<Record<string, RegExp>> = {
  "P.P.S": /p\.\s?p\.\s?s/,
  "P.S.": /p\.\s?s\./,
};

const postscript: Check = (text, parameters) => {
  const marker = strip(stringOf(parameters, "postscript_marker"));
  const known = markers[marker];
  const lower = text.toLowerCase();
  return known ? known.test(lower) : new RegExp(marker.toLowerCase(), "u").test(lower);
};

/** Lines that begin with "-", or with one "*" and more. A line may begin behind empty ones. */
const numberBulletLists: Check = (text, parameters) =>
  count(text, /(?<![^\n])\s*\*[^*][^\n]*/g) + count(text, /(?<![^\n])\s*-[^\n]*/g) ===
  numberOf(parameters, "num_bullets");

const constrainedResponse: Check = (text) => /My answer is (yes|no|maybe)\./.test(text);

/** "*…*" and "**…**" on one line. What stands in two asterisks also counts as what is between inner ones. */
const numberHighlightedSections: Check = (text, parameters) => {
  const filled = (matches: RegExpMatchArray | null, marks: RegExp) =>
    (matches ?? []).filter((match) => strip(match.replace(marks, "")) !== "").length;
  const found =
    filled(text.match(/\*[^\n*]*\*/g), /^\*+|\*+$/g) +
    filled(text.match(/\*\*[^\n*]*\*\*/g), /^\*\*|\*\*$/g);
  return found >= numberOf(parameters, "num_highlights");
};

const multipleSections: Check = (text, parameters) => {
  const mark = strip(stringOf(parameters, "section_spliter"));
  const sections = count(text, new RegExp(`\\s?${mark}\\s?\\p{Nd}+\\s?`, "gu"));
  return sections >= numberOf(parameters, "num_sections");
};

/** JSON as Python reads it: NaN and Infinity are numbers there. */
function isJson(text: string): boolean {
  const numbers = text.replace(/"(?:[^"\\]|\\.)*"|-?Infinity|NaN/g, (part) =>
    part.startsWith('"') ? part : "0",
  );
  try {
    JSON.parse(numbers);
    return true;
  } catch {
    return false;
  }
}

/** The prefixes that a Markdown fence may have, each removed once, in this order. */
const fences = ["```json", "```Json", "```JSON", "```"];

const jsonFormat: Check = (text) => {
  const opened = fences.reduce(
    (rest, fence) => (rest.startsWith(fence) ? rest.slice(fence.length) : rest),
    strip(text),
  );
  return isJson(strip(opened.endsWith("```") ? opened.slice(0, -3) : opened));
};

const title: Check = (text) =>
  (text.match(/<<[^\n]+>>/g) ?? []).some((each) => strip(each.replace(/^<+|>+$/g, "")) !== "");

export const formats: Readonly<Record<string, Check>> = {
  "detectable_content:number_placeholders": numberPlaceholders,
  "detectable_content:postscript": postscript,
  "detectable_format:number_bullet_lists": numberBulletLists,
  "detectable_format:constrained_response": constrainedResponse,
  "detectable_format:number_highlighted_sections": numberHighlightedSections,
  "detectable_format:multiple_sections": multipleSections,
  "detectable_format:json_format": jsonFormat,
  "detectable_format:title": title,
};
