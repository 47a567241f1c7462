import type { Draw, Task } from "./task.ts";
import { capitalize, countWord, enumerate, fill, listing } from "./task.ts";

/** Independent sums and their total (parallel), and arithmetic whose steps depend on each other. */

interface Sum {
  a: number;
  b: number;
}

function working({ a, b }: Sum): { text: string; result: number } {
  const result = a + b;
  const [tens, ones] = [result - (a % 10) - (b % 10), (a % 10) + (b % 10)];
  const text = `The tens are ${a - (a % 10)} + ${b - (b % 10)} = ${tens}. The ones are ${a % 10} + ${b % 10} = ${ones}. Together that is ${tens} + ${ones} = ${result}, so ${a} + ${b} = ${result}`;
  return { text, result };
}

function drawSum(draw: Draw): Sum {
  return draw.own(
    () => ({ a: draw.random.int(2, 59), b: draw.random.int(2, 39) }),
    ({ a, b }) => [a, b],
  );
}

/**
 * Draws sums such that no result occurs among the numbers of another sum, because the pipeline takes such a
 * list for a running calculation.
 */
function drawSums(draw: Draw, count: number): Sum[] {
  for (;;) {
    const sums = Array.from({ length: count }, () => drawSum(draw));
    const results = new Set(sums.map(({ a, b }) => a + b));
    const numbers = sums.flatMap(({ a, b }) => {
      const ones = [a % 10, b % 10, (a % 10) + (b % 10)];
      return [a, b, a - (a % 10), b - (b % 10), a + b - (ones[2] as number), ...ones];
    });
    if (results.size === count && !numbers.some((n) => results.has(n))) return sums;
  }
}

function addUp(results: readonly number[]): { text: string; total: number } {
  let total = results[0] as number;
  const steps: string[] = [];
  for (const next of results.slice(1)) {
    steps.push(`${total} + ${next} = ${total + next}`);
    total += next;
  }
  return { text: enumerate(steps), total };
}

/** The ending, which depends on all parts: the total of a few results, or the largest of many. */
function ending(results: readonly number[], nouns: string) {
  if (results.length > 3) {
    const text = `The largest result is ${Math.max(...results)}${nouns}.`;
    return { asked: "say which result is the largest", text, claims: [text] };
  }
  const { text, total } = addUp(results);
  const last = `The total is ${total}${nouns}.`;
  return { asked: "give the total", text: `Now the total: ${text}. ${last}`, claims: [last] };
}

export function sums(draw: Draw): Task {
  const drawn = drawSums(draw, draw.random.pick([2, 3, 4, 4, 5, 5, 6, 6]));
  const worked = drawn.map(working);
  const last = ending(
    worked.map((w) => w.result),
    "",
  );
  const parts = drawn.map(({ a, b }, i) => ({
    lead: `${a} + ${b}`,
    text: `${worked[i]?.text}.`,
    claims: [`${a} + ${b} = ${worked[i]?.result}`],
  }));
  return listing("bullets", {
    family: "mathematics",
    kind: "sums",
    prompt: fill(
      draw.phrase([
        "Work out {sums}, then {asked}.",
        "Calculate {sums} and {asked}.",
        "Find {sums}. Then {asked}.",
        "Compute {sums}, and then {asked}.",
        "Solve {sums}, then {asked}.",
        "Please work out {sums} and {asked}.",
        "Here are some sums: {sums}. Work them out and {asked}.",
        "What are {sums}? Also {asked}.",
        "Please solve {sums} and {asked}.",
      ]),
      { sums: enumerate(parts.map((p) => p.lead)), asked: last.asked },
    ),
    intro: `Here are the ${countWord(drawn.length)} sums.\n\n`,
    parts,
    ending: last.text,
    endingClaims: last.claims,
  });
}

const children = [
  ...[
    "Anna",
    "Ben",
    "Clara",
    "David",
    "Emma",
    "Felix",
    "Grace",
    "Henry",
    "Nora",
    "Tom",
    "Leo",
    "Mira",
  ],
];
const collected = ["marbles", "apples", "stamps", "books", "coins", "shells", "cards", "eggs"];

export function sharedCount(draw: Draw): Task {
  const drawn = drawSums(draw, draw.random.pick([2, 3, 4, 4, 5, 5, 6]));
  const who = draw.random.sample(children, drawn.length);
  const things = draw.random.pick(collected);
  const worked = drawn.map(working);
  const last = ending(
    worked.map((w) => w.result),
    ` ${things}`,
  );
  return listing("bullets", {
    family: "mathematics",
    kind: "shared-count",
    prompt: capitalize(
      fill(
        draw.phrase([
          "Some children collect {things}. {given}. How many does each have? Also {asked}.",
          "{given}. They all collect {things}. Tell me how many each child has and {asked}.",
          "Children play with {things}: {given}. Work out how many each has and {asked}.",
          "Some children count {things}. {given}. Tell me how many each child has, then {asked}.",
          "{given}. How many {things} does each child have? Also {asked}.",
          "They collect {things}: {given}. Work out how many {things} each has, then {asked}.",
          "They count {things}. {given}. How many {things} has each? Then {asked}.",
        ]),
        {
          things,
          asked: last.asked,
          given: drawn.map(({ a, b }, i) => `${who[i]} has ${a} and gets ${b} more`).join(", "),
        },
      ),
    ),
    intro: `Here are the ${countWord(drawn.length)} children.\n\n`,
    parts: drawn.map(({ a, b }, i) => ({
      lead: who[i] as string,
      text: `${who[i]} has ${a} and gets ${b} more. ${worked[i]?.text}. So ${who[i]} has ${worked[i]?.result} ${things}.`,
      claims: [`${worked[i]?.result} ${things}`],
    })),
    ending: last.text,
    endingClaims: last.claims,
  });
}

const bought = [
  ...["pens", "books", "cups", "plates", "lamps", "shirts", "balls", "bags", "hats", "chairs"],
  ...["keys", "maps", "brushes", "candles", "bottles", "forks"],
];

/** Draws products such that none occurs in another line, for the same reason as `drawSums`. */
function drawProducts(draw: Draw, count: number): { n: number; each: number }[] {
  for (;;) {
    const all = Array.from({ length: count }, () => ({
      n: draw.random.int(2, 9),
      each: draw.random.int(2, 9),
    }));
    const costs = new Set(all.map(({ n, each }) => n * each));
    const clear = !all.some(({ n, each }) => costs.has(n) || costs.has(each));
    if (costs.size === count && clear) return all;
  }
}

/** Bills: quantities of things at prices, with products of one-digit numbers. */
export function bills(draw: Draw): Task {
  const count = draw.random.pick([2, 3, 4, 4, 5, 5, 6]);
  const names = draw.random.sample(bought, count);
  const lines = draw.own(
    () => drawProducts(draw, count),
    (all) => all.flatMap(({ n, each }) => [n, each]),
  );
  const costs = lines.map(({ n, each }) => n * each);
  const last = ending(costs, " dollars");
  return listing("bullets", {
    family: "mathematics",
    kind: "bills",
    prompt: capitalize(
      fill(
        draw.phrase([
          "I buy {things}. What do they cost? Also {asked}.",
          "A shop sells {things}. Work out what they cost and {asked}.",
          "{things}: find what they cost, then {asked}.",
          "Someone buys {things}. What do they cost? Then {asked}.",
          "I order {things}. Find what they cost and {asked}.",
          "What do {things} cost? Work it out and {asked}.",
          "Someone orders {things}. Work out what they cost, then {asked}.",
        ]),
        {
          things: enumerate(lines.map(({ n, each }, i) => `${names[i]} (${n} at ${each} dollars)`)),
          asked: last.asked,
        },
      ),
    ),
    intro: `Here are the ${countWord(count)} costs.\n\n`,
    parts: lines.map(({ n, each }, i) => ({
      lead: capitalize(names[i] as string),
      text: `There are ${n} ${names[i]}, and the price of one is ${each} dollars. The cost is ${n} * ${each} = ${costs[i]}, so the ${names[i]} cost ${costs[i]} dollars. Whoever buys all ${n} of the ${names[i]} at ${each} dollars each pays ${costs[i]} dollars for them.`,
      claims: [`${costs[i]} dollars`],
    })),
    ending: last.text,
    endingClaims: last.claims,
  });
}

export function oneSum(draw: Draw): Task {
  const sum = drawSum(draw);
  const { text, result } = working(sum);
  return {
    family: "serial",
    kind: "one-sum",
    parallel: false,
    prompt: fill(
      draw.phrase([
        "What is {a} + {b}?",
        "Work out {a} + {b}.",
        "Calculate {a} + {b}.",
        "Add {a} and {b}.",
        "How much is {a} + {b}?",
        "Solve {a} + {b}.",
        "Find {a} + {b}.",
        "Compute {a} + {b}.",
        "Please solve {a} + {b}.",
      ]),
      { a: sum.a, b: sum.b },
    ),
    response: `${text}.`,
    claims: [{ contains: `${sum.a} + ${sum.b} = ${result}` }],
  };
}

/** Calculations in which each step depends on the previous one, even if laid out as a numbered list. */
export function chain(draw: Draw): Task {
  const drawn = draw.own(
    () => {
      let value = draw.random.int(5, 20);
      const start = value;
      const steps = Array.from({ length: draw.random.int(2, 3) }, () => {
        const n = draw.random.int(2, 6);
        const plus = value < n + 2 || draw.random.chance(0.6);
        const from = value;
        value = plus ? value + n : value - n;
        return { plus, n, from, to: value };
      });
      return { start, steps, result: value };
    },
    ({ start, steps }) => [start, ...steps.map((s) => (s.plus ? s.n : -s.n))],
  );
  const { start, steps, result } = drawn;
  const asked = enumerate(steps.map((s) => `${s.plus ? "add" : "subtract"} ${s.n}`));
  const shown = steps.map((s) => `${s.from} ${s.plus ? "+" : "-"} ${s.n} = ${s.to}`);
  const listed = draw.random.chance(0.4);
  const prompt = fill(
    draw.phrase([
      "Start with {start}, {asked}. What do you get?",
      "Take {start}, then {asked}. What is the result?",
      "Begin at {start} and {asked}. Where do you end?",
      "I have {start}. I {asked}. How much is it now?",
      "From {start}, {asked}. What do you get?",
      "Start from {start} and {asked}. Give the result.",
      "Begin with {start}, then {asked}. What is the result?",
      "From {start}, {asked}. Give the result.",
    ]),
    { start, asked },
  );
  return {
    family: "serial",
    kind: "chain",
    parallel: false,
    prompt: listed ? `${prompt} Show each step in a list.` : prompt,
    response: listed
      ? `We start with ${start}.\n\n${shown.map((s, i) => `${i + 1}. ${i ? "Then we have" : "First we have"} ${s}.\n`).join("")}\nThe result is ${result}.`
      : `${shown.map((s, i) => (i ? `Then ${s}` : `First ${s}`)).join(". ")}. The result is ${result}.`,
    claims: [{ contains: `The result is ${result}` }],
  };
}
