// Prompts of many kinds, for which a model writes the answers: some invite a list of independent points, others
// one text, a short fact, code or a calculation.
import { Random } from "../random.ts";
import {
  activities,
  events,
  issues,
  pairs,
  places,
  practices,
  roles,
  signs,
  subjects,
  tastes,
  turns,
} from "./words.ts";

/** `points`: a good answer is several independent points. `one`: it is one text or one fact. */
export type PromptKind = "points" | "one";

export interface TopicPrompt {
  id: string;
  category: PromptKind;
  prompt: string;
}

/** `{}` stands for a topic, `{1}` and `{2}` for the two of a pair. */
interface Pattern {
  topics: readonly (string | readonly [string, string])[];
  points: readonly string[];
  one: readonly string[];
}

const patterns: readonly Pattern[] = [
  {
    topics: activities,
    points: [
      "What are some tips for {}?",
      "How can a beginner get better at {}?",
      "What mistakes do people often make when {}?",
      "Give me five pieces of advice on {}.",
      "What are the benefits of {}?",
      "What do I need to know before I start {}?",
      "Which habits help with {}?",
      "I have little time. How can I still make progress with {}?",
    ],
    one: [
      "In one sentence, why do people enjoy {}?",
      "Write a short poem about {}.",
      "Write a short e-mail to a friend in which you invite her to try {} together.",
      "Tell me a short story about somebody who fails at {} and tries again.",
      "Is {} hard? Answer briefly.",
    ],
  },
  {
    topics: issues,
    points: [
      "What are the main causes of {}?",
      "What are the consequences of {}?",
      "How can governments reduce {}?",
      "What can ordinary people do about {}?",
      "Describe several possible solutions to {}.",
      "How does {} affect the economy, health and society?",
      "What are the most important facts about {}?",
      "Which factors contribute to {}, and how can this knowledge be used?",
      "Explain how {} comes about, and discuss its implications for society.",
    ],
    one: [
      "Summarize the problem of {} in one paragraph.",
      "Define {} in one sentence.",
      "Write a headline for a newspaper article about {}.",
      "Write the opening paragraph of a speech about {}.",
    ],
  },
  {
    topics: practices,
    points: [
      "What are the advantages and disadvantages of {}?",
      "What arguments are there for and against {}?",
      "How might {} change daily life in the next twenty years?",
      "What should one consider before deciding on {}?",
      "What are common criticisms of {}?",
      "Which groups of people benefit from {}, and how?",
      "What are the environmental and social effects of {}?",
      "How do {} influence the way people live, and what are the implications for the future?",
      "How might a city support {}, and which factors would it have to consider?",
    ],
    one: [
      "Explain {} to a ten-year-old in a few sentences.",
      "When did {} become common? Answer in one sentence.",
      "Write a tweet about {}.",
      "Do you think {} will be normal in fifty years? Answer in two sentences.",
    ],
  },
  {
    topics: pairs,
    points: [
      "What are the main differences between {1} and {2}?",
      "Compare {1} with {2}.",
      "How do {1} and {2} differ, and what do they have in common?",
      "Which is better, {1} or {2}? Discuss several aspects.",
    ],
    one: [
      "In one sentence, what is the difference between {1} and {2}?",
      "Write a short dialogue between a friend of {1} and a friend of {2}.",
    ],
  },
  {
    topics: subjects,
    points: [
      "What are the most important aspects of {}?",
      "Why is {} important?",
      "What are some common misconceptions about {}?",
      "What are the key facts to know about {}?",
      "Give an overview of {} with its main parts.",
      "How has our understanding of {} influenced the world?",
    ],
    one: [
      "What is {}? Answer in two sentences.",
      "Explain step by step how {} came about.",
      "Write a multiple-choice question about {}.",
      "Write a limerick about {}.",
    ],
  },
  {
    topics: places,
    points: [
      "What are the best things to see in {}?",
      "What should I know about the culture of {} before I go there?",
      "Which dishes should I try in {}?",
      "What are good reasons to visit {}?",
      "What should I pack for a week in {}?",
    ],
    one: [
      "What is the climate of {} like? Answer briefly.",
      "Write a postcard from {}.",
      "Write a travel diary entry about one day in {}.",
    ],
  },
  {
    topics: events,
    points: [
      "What should I think of when I prepare for {}?",
      "Give me ideas for {}.",
      "Which things could go wrong with {}, and how can I prevent them?",
      "Make a checklist for {}.",
    ],
    one: ["Write an invitation or announcement for {}.", "Describe {} in three sentences."],
  },
  {
    topics: roles,
    points: [
      "Imagine you are {}. What advice would you give to young people?",
      "What skills does {} need?",
      "Pretend to be {}. What are the most important things you have learned in your work?",
      "What challenges does {} face at work?",
    ],
    one: [
      "Imagine you are {}. Introduce yourself in one paragraph.",
      "Pretend to be {} and tell me about your day.",
    ],
  },
  {
    topics: turns,
    points: [
      "What might the world look like if {}?",
      "How would life be different if {}?",
      "What if {}?",
      "Imagine that {}. Describe the effects on science, culture and politics.",
    ],
    one: [
      "Write the first paragraph of a novel in which {}.",
      "Imagine that {}. Tell a short story.",
    ],
  },
  {
    topics: signs,
    points: [
      "How can I tell whether {}?",
      "What are signs that {}?",
      "Which clues show that {}, and why?",
    ],
    one: ["What is the single best sign that {}?"],
  },
  {
    topics: tastes,
    points: [
      "Why do some people like to {}?",
      "Why might someone {}, even if there are easier ways?",
      "What could be reasons to {}?",
      "What does it say about a person to {}?",
    ],
    one: ["Write a short monologue of somebody who loves to {}."],
  },
];

/** Prompts with numbers, words or code, whose answers are one thing. */
function exact(random: Random): string {
  const n = (from: number, to: number) => random.int(from, to);
  const makers: readonly (() => string)[] = [
    () => `What is ${n(12, 99)} times ${n(3, 29)}?`,
    () => `A train travels ${n(40, 90)} km in ${n(2, 5)} hours. What is its average speed?`,
    () =>
      `Write a Python function that returns the ${random.pick(["largest", "smallest", "second largest", "most frequent"])} number of a list.`,
    () =>
      `Write a JavaScript function that ${random.pick(["reverses a string", "checks whether a word is a palindrome", "counts the vowels of a text", "removes duplicates from an array"])}.`,
    () =>
      `How many ${random.pick(["golf balls fit into a school bus", "piano tuners are there in a city of a million people", "words does a person speak in a year", "leaves does a large oak have"])}? Explain how you estimate it.`,
    () =>
      `Translate into ${random.pick(["French", "Spanish", "German", "Italian"])}: "${random.pick(["Where is the train station?", "I would like a cup of tea.", "The weather is beautiful today.", "We have been friends for years."])}"`,
    () =>
      `What is the capital of ${random.pick(["Australia", "Canada", "Turkey", "Brazil", "Kenya", "Norway", "Vietnam", "Chile"])}?`,
    () =>
      `Correct the grammar: "${random.pick(["She don't like apples.", "He go to school yesterday.", "They was very tired.", "I has two brother."])}"`,
    () => `Sort these numbers: ${Array.from({ length: 6 }, () => n(1, 99)).join(", ")}.`,
    () =>
      `How do I ${random.pick(["boil an egg", "change a bicycle tyre", "tie a tie", "reset a router", "make pancakes", "wash a wool sweater"])}? Tell me step by step.`,
  ];
  return random.pick(makers)();
}

const isPair = (topic: string | readonly [string, string]): topic is readonly [string, string] =>
  typeof topic !== "string";

function filled(pattern: string, topic: string | readonly [string, string]): string {
  const text = isPair(topic)
    ? pattern.replaceAll("{1}", topic[0]).replaceAll("{2}", topic[1])
    : pattern.replaceAll("{}", topic);
  return text.charAt(0).toUpperCase() + text.slice(1);
}

const exactShare = 0.3;

/** `n` different prompts, of which `pointsShare` invite points. The seed decides them. */
export function topicPrompts(n: number, seed: number, pointsShare: number): TopicPrompt[] {
  const random = new Random(seed);
  const prompts = new Map<string, PromptKind>();
  // The patterns give several thousand prompts; a caller who wants more gets all that were found.
  for (let tries = 0; prompts.size < n && tries < 50 * n; tries++) {
    const kind: PromptKind = random.chance(pointsShare) ? "points" : "one";
    if (kind === "one" && random.chance(exactShare)) {
      prompts.set(exact(random), kind);
      continue;
    }
    const pattern = random.pick(patterns);
    prompts.set(filled(random.pick(pattern[kind]), random.pick(pattern.topics)), kind);
  }
  return [...prompts].map(([prompt, category], i) => ({ id: `topic-${i + 1}`, category, prompt }));
}
