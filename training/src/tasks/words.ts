import { animals, countries } from "./facts.ts";
import { person, town } from "./names.ts";
import type { Draw, Task } from "./task.ts";
import { enumerate, fill } from "./task.ts";

/** Spelling, counting, sorting and repetition, which can't be cut into independent parts. */

const vocabulary = [
  ...["cat", "dog", "tree", "house", "river", "stone", "bread", "light", "green", "water", "plant"],
  ...[
    "chair",
    "table",
    "horse",
    "cloud",
    "music",
    "paper",
    "train",
    "apple",
    "lemon",
    "night",
    "world",
  ],
  ...["bird", "fish", "moon", "star", "sand", "rain", "snow", "wind", "fire", "gold"],
];

/** Words are not held out, because a model can't see how a token is spelled. */
export function spelling(draw: Draw): Task {
  const word = draw.random.pick(vocabulary);
  const letters = [...word].join("-");
  return {
    family: "serial",
    kind: "spelling",
    parallel: false,
    prompt: fill(
      draw.phrase([
        'Spell the word "{word}".',
        'How do you spell "{word}"?',
        'Spell "{word}" letter by letter.',
        'Please spell the word "{word}".',
        'Can you spell "{word}"?',
        'Please spell "{word}" for me.',
      ]),
      { word },
    ),
    response: `The word "${word}" is spelled ${letters}.`,
    claims: [{ contains: `spelled ${letters}` }],
  };
}

export function counting(draw: Draw): Task {
  const { from, length, step } = draw.own(
    () => ({
      from: draw.random.int(1, 30),
      length: draw.random.int(4, 9),
      step: draw.random.pick([1, 1, 1, 2]),
    }),
    (d) => [d.from, d.length, d.step],
  );
  const numbers = Array.from({ length }, (_, i) => from + i * step);
  const to = numbers[numbers.length - 1] as number;
  const by = step === 1 ? "" : ` in steps of ${step}`;
  return {
    family: "serial",
    kind: "counting",
    parallel: false,
    prompt: fill(
      draw.phrase([
        "Count from {from} to {to}{by}.",
        "Please count from {from} to {to}{by}.",
        "Write the numbers from {from} to {to}{by}.",
        "Can you count from {from} to {to}{by}?",
        "Count up from {from} to {to}{by}.",
        "Give the numbers from {from} up to {to}{by}.",
        "Can you count from {from} up to {to}{by}?",
      ]),
      { from, to, by },
    ),
    response: `${numbers.join(", ")}.`,
    claims: [{ contains: numbers.join(", ") }],
  };
}

export function sorting(draw: Draw): Task {
  const numbers = draw.own(
    () =>
      draw.random.sample(
        Array.from({ length: 30 }, (_, i) => i + 1),
        3,
      ),
    (n) => n,
  );
  const sorted = [...numbers].sort((a, b) => a - b);
  return {
    family: "serial",
    kind: "sorting",
    parallel: false,
    prompt: fill(
      draw.phrase([
        "Sort these numbers: {numbers}.",
        "Put {numbers} in order.",
        "Sort {numbers} from small to large.",
        "Put these numbers in order: {numbers}.",
        "Order {numbers} from the smallest to the largest.",
        "Sort these numbers from the smallest: {numbers}.",
        "Order these numbers from the smallest: {numbers}.",
      ]),
      { numbers: enumerate(numbers.map(String)) },
    ),
    response: `In order they are ${enumerate(sorted.map(String))}.`,
    claims: [{ contains: `In order they are ${enumerate(sorted.map(String))}` }],
  };
}

/** A line to repeat. From copying, a model learns to attend to the prompt. */
export function repeat(draw: Draw): Task {
  const make = [
    () => person(draw).full,
    () => town(draw),
    () => String(draw.random.int(1, 999)),
    () => draw.random.pick(vocabulary),
    () => draw.random.pick(animals).name,
    () => draw.random.pick(countries).name,
  ];
  const things = Array.from({ length: draw.random.int(4, 10) }, () => draw.random.pick(make)());
  const line = things.join(draw.random.pick([", ", " ", ". ", " and "]));
  return {
    family: "serial",
    kind: "repeat",
    parallel: false,
    prompt: fill(
      draw.phrase([
        "Repeat this: {line}",
        "{line}\n\nSay this again.",
        "Copy these words: {line}",
        "Write this again: {line}",
        "Say this once more: {line}",
        "{line}\n\nRepeat this.",
        "Write this down once more: {line}",
      ]),
      { line },
    ),
    response: line,
    claims: [{ contains: line }],
  };
}
