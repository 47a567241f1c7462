import type { Draw, Task } from "./task.ts";
import { enumerate, fill } from "./task.ts";

/** Letter by letter, number by number: what can't be cut into independent parts. */

const vocabulary = [
  "cat",
  "dog",
  "tree",
  "house",
  "river",
  "stone",
  "bread",
  "light",
  "green",
  "water",
  "plant",
  "chair",
  "table",
  "horse",
  "cloud",
  "music",
  "paper",
  "train",
  "garden",
  "window",
  "winter",
  "summer",
  "school",
  "bridge",
  "flower",
  "silver",
  "orange",
  "island",
  "market",
  "sister",
  "apple",
  "lemon",
  "night",
  "world",
  "money",
  "ocean",
  "piano",
  "queen",
  "robot",
  "snake",
  "tiger",
  "zebra",
  "bird",
  "fish",
  "moon",
  "star",
  "sand",
  "rain",
  "snow",
  "wind",
  "fire",
  "gold",
  "milk",
  "salt",
];

export function spelling(draw: Draw): Task {
  const word = draw.own(
    () => draw.random.pick(vocabulary),
    (w) => [w],
  );
  const letters = [...word].join("-");
  const backwards = [...word].reverse().join("");
  const kind = draw.random.int(0, 2);
  if (kind === 0) {
    return {
      family: "spelling",
      parallel: false,
      prompt: fill(
        draw.phrase([
          'Spell the word "{word}".',
          'How do you spell "{word}"?',
          'Spell "{word}" letter by letter.',
          'Please spell "{word}" for me.',
        ]),
        { word },
      ),
      response: `The word "${word}" is spelled ${letters}.`,
      claims: [{ contains: `spelled ${letters}` }],
    };
  }
  if (kind === 1) {
    return {
      family: "spelling",
      parallel: false,
      prompt: fill(
        draw.phrase([
          'Reverse the word "{word}".',
          'Write "{word}" backwards.',
          'What is "{word}" in reverse?',
          'Turn the word "{word}" around.',
        ]),
        { word },
      ),
      response: `${letters} turned around is ${[...backwards].join("-")}, so the answer is ${backwards}.`,
      claims: [{ contains: `the answer is ${backwards}` }],
    };
  }
  return {
    family: "spelling",
    parallel: false,
    prompt: fill(
      draw.phrase([
        'How many letters are in "{word}"?',
        'Count the letters of the word "{word}".',
        'How long is the word "{word}"?',
      ]),
      { word },
    ),
    response: `${[...word].map((l, i) => `${l} ${i + 1}`).join(", ")}: the word has ${word.length} letters.`,
    claims: [{ contains: `${word.length} letters` }],
  };
}

export function counting(draw: Draw): Task {
  const { from, length, step } = draw.own(
    () => ({
      from: draw.random.int(1, 40),
      length: draw.random.int(4, 9),
      step: draw.random.pick([1, 1, 1, 2, 5, 10]),
    }),
    (d) => [d.from, d.length, d.step],
  );
  const numbers = Array.from({ length }, (_, i) => from + i * step);
  const to = numbers[numbers.length - 1] as number;
  const by = step === 1 ? "" : ` in steps of ${step}`;
  return {
    family: "counting",
    parallel: false,
    prompt: fill(
      draw.phrase([
        "Count from {from} to {to}{by}.",
        "Please count from {from} to {to}{by}.",
        "Write the numbers from {from} to {to}{by}.",
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
        Array.from({ length: 50 }, (_, i) => i + 1),
        draw.random.int(3, 5),
      ),
    (n) => n,
  );
  const sorted = [...numbers].sort((a, b) => a - b);
  return {
    family: "sorting",
    parallel: false,
    prompt: fill(
      draw.phrase([
        "Sort these numbers: {numbers}.",
        "Put {numbers} in order.",
        "Sort {numbers} from small to large.",
        "Order these numbers from the smallest: {numbers}.",
      ]),
      { numbers: enumerate(numbers.map(String)) },
    ),
    response: `In order they are ${enumerate(sorted.map(String))}.`,
    claims: [{ contains: `In order they are ${enumerate(sorted.map(String))}` }],
  };
}
