import type { Draw } from "./task.ts";

/**
 * Invented people and towns. Each name belongs to one split, so that a held-out text is about people and
 * places that do not occur in training, and a model can only take their facts from the text.
 */

const given = [
  ...["Anna", "Ben", "Clara", "David", "Emma", "Felix", "Grace", "Henry", "Ida", "Jonas", "Karin"],
  ...["Leo", "Mira", "Nora", "Oscar", "Paula", "Robin", "Sara", "Tom", "Ursula", "Victor", "Wanda"],
  ...["Ada", "Bruno", "Cora", "Dora", "Eric", "Fiona", "Gustav", "Helen", "Ivan", "Julia", "Kurt"],
];

const starts = [
  ...["Al", "Bar", "Bel", "Bor", "Bran", "Cal", "Cor", "Dal", "Dor", "El", "Fal", "Far", "Gar"],
  ...["Gil", "Hal", "Har", "Hol", "Kel", "Kor", "Lan", "Lor", "Mal", "Mar", "Mor", "Nel", "Nor"],
  ...[
    "Or",
    "Pel",
    "Quil",
    "Ral",
    "Ros",
    "Sal",
    "Sel",
    "Tal",
    "Tor",
    "Ul",
    "Val",
    "Vor",
    "Wil",
    "Zan",
  ],
];
const middles = ["", "a", "e", "i", "o", "den", "ke", "mi", "ra", "sen", "ta", "vi"];
const familyEnds = [
  "berg",
  "by",
  "dahl",
  "er",
  "feld",
  "gard",
  "man",
  "ner",
  "sen",
  "son",
  "vik",
  "wick",
];
const townEnds = [
  "beck",
  "bury",
  "dale",
  "field",
  "ford",
  "ham",
  "haven",
  "mouth",
  "port",
  "stead",
  "ton",
  "wood",
];

function invented(draw: Draw, ends: readonly string[]): string {
  return draw.own(
    () => draw.random.pick(starts) + draw.random.pick(middles) + draw.random.pick(ends),
    (name) => [name],
  );
}

export const town = (draw: Draw) => invented(draw, townEnds);

export interface Person {
  given: string;
  full: string;
}

/** People with different given names. */
export function people(draw: Draw, count: number): Person[] {
  return draw.random
    .sample(given, count)
    .map((name) => ({ given: name, full: `${name} ${invented(draw, familyEnds)}` }));
}

export function person(draw: Draw): Person {
  return people(draw, 1)[0] as Person;
}
