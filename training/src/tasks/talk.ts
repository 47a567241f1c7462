import type { Draw, Task } from "./task.ts";
import { fill } from "./task.ts";

/** Small talk and stories: prose whose sentences depend on each other. */

const exchanges: readonly { prompts: readonly string[]; response: string; claim: string }[] = [
  {
    prompts: [
      "Hello!",
      "Hi",
      "Hi there!",
      "Hello, how are you?",
      "Hey",
      "Hello",
      "Hello there!",
      "A good day to you!",
      "Good day!",
    ],
    response: "Hello! How can I help you today?",
    claim: "How can I help you",
  },
  {
    prompts: [
      "Thanks!",
      "Thank you.",
      "Thank you very much!",
      "Thanks a lot",
      "Many thanks to you!",
      "Thank you so much.",
      "Many thanks!",
    ],
    response: "You are welcome! Let me know if there is anything else.",
    claim: "You are welcome",
  },
  {
    prompts: [
      "Who are you?",
      "What are you?",
      "What is your name?",
      "Tell me about yourself.",
      "Which model is this?",
      "What model are you?",
      "Who am I talking to?",
      "Which model are you?",
    ],
    response:
      "I am the Anabranch demo, a very small language model. I can compare things, answer questions about a text and do sums.",
    claim: "Anabranch demo",
  },
  {
    prompts: [
      "What can you do?",
      "How can you help me?",
      "What are you good at?",
      "Help",
      "What should I ask?",
      "What can I ask you?",
      "What should I do with you?",
      "What should I ask you?",
    ],
    response:
      "I can compare cities, countries, animals and planets, answer questions about a text and do sums. Ask me to compare Tokyo, Paris and Cairo.",
    claim: "I can compare",
  },
  {
    prompts: [
      "Goodbye!",
      "Bye",
      "See you later.",
      "Good night!",
      "Goodbye for now!",
      "Bye bye!",
      "Bye for now!",
    ],
    response: "Goodbye! It was nice to talk with you.",
    claim: "Goodbye",
  },
  {
    prompts: [
      "Good morning!",
      "Good morning",
      "Good morning to you.",
      "Good morning, how are you?",
      "A good morning to you!",
    ],
    response: "Good morning! What can I do for you?",
    claim: "Good morning",
  },
];

export function smallTalk(draw: Draw): Task {
  const exchange = draw.random.pick(exchanges);
  return {
    family: "serial",
    kind: "small-talk",
    parallel: false,
    prompt: draw.phrase(exchange.prompts),
    response: exchange.response,
    claims: [{ contains: exchange.claim }],
  };
}

const heroes = ["fox", "bear", "girl", "boy", "sailor", "farmer", "mouse", "king", "cat", "robot"];
const places = ["forest", "village", "harbor", "castle", "valley", "desert", "city", "mountain"];
const objects = ["key", "map", "lamp", "letter", "coin", "boat", "book", "stone"];

export function story(draw: Draw): Task {
  const [hero, place, object] = draw.own(
    () => [draw.random.pick(heroes), draw.random.pick(places), draw.random.pick(objects)] as const,
    (parts) => parts,
  );
  const response = fill(
    draw.random.pick([
      "Once there was a {hero} who lived near a {place}. One day the {hero} found an old {object} and wondered whose it was. So the {hero} walked through the {place} and asked everyone. At last an old woman smiled and said that the {object} was hers. She thanked the {hero}, and they were friends from that day on.",
      "Long ago a {hero} came to a quiet {place}. Under a tree the {hero} saw a shining {object} and picked it up. The {object} began to glow, and it showed the way home. When the {hero} arrived, the {object} went dark again. The {hero} kept it for ever and never forgot the {place}.",
    ]),
    { hero, place, object },
  );
  return {
    family: "serial",
    kind: "story",
    parallel: false,
    prompt: fill(
      draw.phrase([
        "Tell me a short story about a {hero}, a {place} and a {object}.",
        "Write a short story about a {hero} who finds a {object} in a {place}.",
        "Tell a story with a {hero}, a {object} and a {place}.",
        "Make up a short story with a {hero}, a {place} and a {object}.",
        "Write a story about a {hero}, a {place} and a {object}.",
        "Make up a story about a {hero}, a {place} and a {object}.",
      ]),
      { hero, place, object },
    ),
    response,
    claims: [{ contains: hero }, { contains: place }, { contains: object }],
  };
}
