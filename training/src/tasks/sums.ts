import type { Draw, Task } from "./task.ts";
import { countWord, enumerate, fill, layOut } from "./task.ts";

/** Independent sums and their total (parallel), and arithmetic whose steps need each other. */

interface Sum {
  a: number;
  b: number;
}

function working({ a, b }: Sum): { text: string; result: number } {
  const result = a + b;
  const tens = [Math.floor(a / 10) * 10, Math.floor(b / 10) * 10] as const;
  const ones = [a % 10, b % 10] as const;
  if (a < 10 && b < 10) return { text: `${a} + ${b} = ${result}`, result };
  const text = `${tens[0]} + ${tens[1]} = ${tens[0] + tens[1]} and ${ones[0]} + ${ones[1]} = ${ones[0] + ones[1]}, so ${a} + ${b} = ${result}`;
  return { text, result };
}

function drawSum(draw: Draw): Sum {
  return draw.own(
    () => ({ a: draw.random.int(2, 59), b: draw.random.int(2, 39) }),
    ({ a, b }) => [a, b],
  );
}

/**
 * Sums none of which shows another's result among its own numbers: such a list would look like a
 * running calculation.
 */
function drawSums(draw: Draw, count: number): Sum[] {
  for (;;) {
    const sums = Array.from({ length: count }, () => drawSum(draw));
    const results = new Set(sums.map(({ a, b }) => a + b));
    const numbers = sums.flatMap(({ a, b }) => [a, b, a % 10, b % 10, a - (a % 10), b - (b % 10)]);
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

export function sumsAndTotal(draw: Draw): Task {
  const sums = drawSums(draw, draw.random.pick([2, 3, 3, 3, 4]));
  const worked = sums.map(working);
  const parts = sums.map(({ a, b }, i) => ({
    lead: `${a} + ${b}`,
    text: `${worked[i]?.text}.`,
  }));
  const { text, total } = addUp(worked.map((w) => w.result));
  return {
    family: "sums-and-total",
    parallel: true,
    prompt: fill(
      draw.phrase([
        "Work out {sums}, then add the results.",
        "Calculate {sums} and give the total.",
        "What are {sums}? What is the total?",
        "Find {sums}. Then add them all up.",
        "Compute {sums}, and then their total.",
        "Please solve {sums} and add up the answers.",
      ]),
      { sums: enumerate(parts.map((p) => p.lead)) },
    ),
    response: `I will work out the ${countWord(sums.length)} sums first.\n\n${layOut("bullets", parts)}Now the total: ${text}. The total is ${total}.`,
    claims: [
      ...worked.map(({ result }, i) => ({
        contains: `${parts[i]?.lead} = ${result}`,
      })),
      { contains: `The total is ${total}` },
    ],
  };
}

const people = ["Anna", "Ben", "Clara", "David", "Emma", "Felix", "Grace", "Henry", "Nora", "Tom"];
const things = ["marbles", "apples", "stamps", "books", "coins", "shells", "cards", "eggs"];

export function sharedCount(draw: Draw): Task {
  const sums = drawSums(draw, draw.random.pick([2, 3, 3, 4]));
  const who = draw.random.sample(people, sums.length);
  const thing = draw.random.pick(things);
  const worked = sums.map(working);
  const given = sums.map(({ a, b }, i) => `${who[i]} has ${a} and gets ${b} more`);
  const parts = sums.map((_, i) => ({
    lead: who[i] as string,
    text: `${worked[i]?.text}. So ${who[i]} has ${worked[i]?.result} ${thing}.`,
  }));
  const { text, total } = addUp(worked.map((w) => w.result));
  return {
    family: "shared-count",
    parallel: true,
    prompt: fill(
      draw.phrase([
        "Some children collect {thing}. {given}. How many does each have, and how many are there in all?",
        "They count {thing}. {given}. How many {thing} has each, and how many together?",
        "{given}. They all collect {thing}. How many does each child have and what is the total?",
        "Children play with {thing}: {given}. Tell me how many each has and the total.",
      ]),
      { thing, given: `${given.join(", ")}` },
    ),
    response: `Let us look at each child.\n\n${layOut("bullets", parts)}Now the total: ${text}. There are ${total} ${thing} in all.`,
    claims: [
      ...worked.map(({ result }, i) => ({
        contains: `${result} ${thing}`,
        near: who[i] as string,
      })),
      { contains: `${total} ${thing} in all` },
    ],
  };
}

export function oneSum(draw: Draw): Task {
  const sum = drawSum(draw);
  const { text, result } = working(sum);
  return {
    family: "one-sum",
    parallel: false,
    prompt: fill(
      draw.phrase([
        "What is {a} + {b}?",
        "Work out {a} + {b}.",
        "Calculate {a} + {b}.",
        "Add {a} and {b}.",
        "How much is {a} + {b}?",
        "Please solve {a} + {b}.",
      ]),
      { a: sum.a, b: sum.b },
    ),
    response: `${text}.`,
    claims: [{ contains: `${sum.a} + ${sum.b} = ${result}` }],
  };
}

/** Each step needs the one before, also where the answer is written as a numbered list. */
export function chain(draw: Draw): Task {
  const drawn = draw.own(
    () => {
      let value = draw.random.int(5, 40);
      const start = value;
      const steps = Array.from({ length: draw.random.int(2, 4) }, () => {
        const n = draw.random.int(2, 20);
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
      "From {start}, {asked}. Give the result.",
    ]),
    { start, asked },
  );
  return {
    family: "chain",
    parallel: false,
    prompt: listed ? `${prompt} Show each step in a list.` : prompt,
    response: listed
      ? `We start with ${start}.\n\n${shown.map((s, i) => `${i + 1}. ${i ? "Then we have" : "First we have"} ${s}.\n`).join("")}\nThe result is ${result}.`
      : `${shown.map((s, i) => (i ? `Then ${s}` : `First ${s}`)).join(". ")}. The result is ${result}.`,
    claims: [{ contains: `The result is ${result}` }],
  };
}
