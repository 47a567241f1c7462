// Prompts as people put them on question boards and how-to pages. Their kind is known by construction.
import { Random } from "../random.ts";
import {
  choices,
  exactQuestions,
  faults,
  matters,
  operations,
  situations,
  snippets,
  stories,
  undertakings,
  wanted,
} from "./constructed-words.ts";

export interface ConstructedPrompt {
  prompt: string;
  /** 1: a good answer is several independent points. 0: it is one text, fact, proof or piece of code. */
  label: 0 | 1;
}

const capital = (text: string) => text.charAt(0).toUpperCase() + text.slice(1);

type Maker = (random: Random) => string;

const fill =
  (patterns: readonly string[], topics: readonly string[]): Maker =>
  (random) =>
    capital(random.pick(patterns).replaceAll("{}", random.pick(topics)));

const points: readonly (readonly [share: number, make: Maker])[] = [
  [
    6,
    fill(
      [
        "How to {}?",
        "How to {}",
        "How to {}?",
        "How do I {}?",
        "How can I {}?",
        "What's the best way to {}?",
        "What are some tips to {}?",
        "Can you help me to {}?",
        "I want to {}. What should I keep in mind?",
      ],
      undertakings,
    ),
  ],
  [
    3,
    fill(
      [
        "{} What should I do?",
        "{} How can I deal with this?",
        "{} Does anybody have advice? I have tried talking about it, but nothing has changed so far.",
        "{} What would you recommend, and what should I avoid?",
        "{} Any ideas?",
      ],
      situations,
    ),
  ],
  [
    3,
    fill(
      [
        "Why is {} good for society?",
        "What do people have against {}?",
        "What are the primary objections to {}?",
        "Reasons for {} other than cost?",
        "What would change without {}?",
        "Is {} worth it? What speaks for it and what against?",
        "Why do some people oppose {}?",
        "What factors should be considered in a debate on {}?",
      ],
      matters,
    ),
  ],
  [
    2,
    (random) => {
      const [a, b] = random.pick(choices);
      const asked = random.pick([
        "What is the difference between {1} and {2}?",
        "When would one use {1} rather than {2}?",
        "When to use {1} instead of {2}?",
        "{1} or {2}? What should I look at when I choose?",
        "How does {1} compare to {2}?",
      ]);
      return capital(asked.replace("{1}", a).replace("{2}", b));
    },
  ],
  [
    2,
    fill(
      [
        "Show me five {}.",
        "I'm looking for {}.",
        "Can you recommend {}? Tell me why I should choose each one.",
        "What are some {}?",
        "Please suggest {}.",
        "Any recommendations for {}?",
      ],
      wanted,
    ),
  ],
];

const one: readonly (readonly [share: number, make: Maker])[] = [
  [
    4,
    fill(
      [
        "How to {}?",
        "How to {}",
        "How do I {}?",
        "How can I {}?",
        "What is the command to {}?",
        "Is there a way to {}?",
      ],
      operations,
    ),
  ],
  [
    3,
    (random) => {
      const code = random.pick(snippets).replaceAll("\\n", "\n");
      const end = random.pick([
        "What am I doing wrong?",
        "How can I fix this?",
        "Is there a better way to do it?",
        "Why does this happen?",
        "Any help is appreciated.",
      ]);
      const fault = random.pick(faults);
      if (random.chance(0.3)) return `${fault} ${end}`;
      return `${fault}\nThis is what I have tried so far:\n\`\`\`\n${code}\n\`\`\`\n${end}`;
    },
  ],
  [4, (random) => random.pick(stories)],
  [4, (random) => random.pick(exactQuestions)],
];

function draw(random: Random, makers: readonly (readonly [number, Maker])[]): string {
  let point = random.float() * makers.reduce((sum, [share]) => sum + share, 0);
  for (const [share, make] of makers) {
    point -= share;
    if (point < 0) return make(random);
  }
  throw new Error("shares do not add up");
}

/** `n` different prompts at most. The seed decides them. */
export function constructedPrompts(n: number, seed: number): ConstructedPrompt[] {
  const random = new Random(seed);
  const prompts = new Map<string, 0 | 1>();
  for (let tries = 0; prompts.size < n && tries < 20 * n; tries++) {
    const label = random.chance(0.5) ? 1 : 0;
    prompts.set(draw(random, label === 1 ? points : one), label);
  }
  return [...prompts].map(([prompt, label]) => ({ prompt, label }));
}
