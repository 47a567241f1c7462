import { textOfParts } from "@anabranch/shared/parts.ts";
import { expect, it } from "vitest";
import { Random } from "../random.ts";
import { cut, cutProposals, defaultRules, propose } from "./cut.ts";
import { readSpans } from "./llm/reply.ts";
import { unitsOf } from "./llm/units.ts";

const words =
  "color 🎨 of Äpfel ñ **bold** `code` 7 | a_b *x* [y](z) > # warm cold day sea tree".split(" ");
/** Words that now and then rule out a stage. */
const odd = ["$$", "[", "then", "12 + 7 = 19", "```", "<|para|>"];
const breaks = ["\n", "\n\n", "\r\n", "\n\n\n", "\u2028", "\n \n", "\t\n"];
const starts = [
  "- ",
  "1. ",
  "2) ",
  "  - ",
  "# ",
  "## ",
  "**Lead**: ",
  "> ",
  "| ",
  "```\n",
  "~~~\n",
  "    ",
  "First, ",
  "Second, ",
  "Cats are ",
  "",
  "",
  "---\n",
  "|---|\n",
];

function document(random: Random): string {
  const line = () => {
    const word = () => random.pick(random.chance(0.01) ? odd : words);
    const text = Array.from({ length: random.int(0, 12) }, word).join(" ");
    return random.pick(starts) + text + random.pick(breaks);
  };
  return Array.from({ length: random.int(0, 16) }, line).join("");
}

const loose = { ...defaultRules, minGain: -1000, minBodyCharacters: 1 };

it("gives every random document back byte for byte, and cuts many of them", () => {
  const random = new Random(11);
  let parallel = 0;
  for (let i = 0; i < 3000; i++) {
    const text = document(random);
    const { parts } = cut(text, "Compare cats and dogs.", loose);
    expect(textOfParts(parts)).toBe(text);
    if (parts.some((part) => "parallel" in part)) parallel++;
  }
  expect(parallel).toBeGreaterThan(200);
});

it("gives documents back for any reply of a language model", () => {
  const random = new Random(12);
  let parallel = 0;
  for (let i = 0; i < 2000; i++) {
    const text = document(random);
    const units = unitsOf(text);
    expect(units.map(({ start, end }) => text.slice(start, end)).join("")).toBe(text);
    const from = random.int(-1, units.length + 1);
    const middle = from + random.int(-1, 4);
    const to = middle + random.int(0, 4);
    const reply = JSON.stringify({
      groups: [
        {
          parts: [
            { title: random.pick(words), from, to: middle },
            { title: random.pick(words), from: middle + 1, to },
          ],
        },
      ],
    });
    const { candidates } = readSpans(reply, text, units);
    const { parts } = cutProposals(text, propose(text, "", candidates, loose), loose);
    expect(textOfParts(parts)).toBe(text);
    if (parts.some((part) => "parallel" in part)) parallel++;
  }
  expect(parallel).toBeGreaterThan(10);
});

it("takes no quadratic time", () => {
  const n = 50_000;
  const texts = [
    `- a ${"[".repeat(n)}\n- b ${"]".repeat(n)}`,
    `- a\n${"\n".repeat(n)}- b\n`,
    "1. a\n\nb\n\n".repeat(n / 9),
    "- a\r".repeat(n / 4),
    "- item number x\n".repeat(n / 16),
    "He has 3 + 4 = 7 x.\n\n".repeat(n / 22),
    `- a: ${"1 + 1 = 2 ".repeat(n / 10)}\n- b: ${"the a if then it ".repeat(n / 17)}`,
  ];
  for (const text of texts) {
    const start = performance.now();
    cut(text, "Compare cats and dogs.", loose);
    expect(performance.now() - start).toBeLessThan(1500);
  }
});
