import { animals, cities, countries, planets } from "./facts.ts";
import type { Draw, ListingPart, Task, TaskMaker } from "./task.ts";
import { capitalize, countWord, enumerate, fill, layoutRequest, listing } from "./task.ts";

/**
 * Lists and comparisons from memory: one part for each of several entities, then a sentence that depends on
 * all of them. Combinations and phrasings are held out. Facts are not, because a model can't know facts
 * that it has never seen.
 */

interface Topic {
  /** Plural noun the intro uses: "the three cities". */
  nouns: string;
  prompts: readonly string[];
  intro: string;
  parts: ListingPart[];
  names: string[];
  ending: string;
  endingClaims: string[];
}

const comparePrompts = [
  "Compare {names}.",
  "Compare {names} for me.",
  "Can you compare {names}?",
  "How do {names} compare?",
  "Please compare {names}.",
  "Compare these {nouns}: {names}.",
  "Compare the {nouns} {names}.",
  "Write a comparison of {names}.",
  "I want a comparison of {names}.",
  "Please make a comparison of {names} for me.",
  "Give me a comparison between {names}.",
  "Give me the differences between {names}.",
  "What are the differences between {names}?",
  "How are {names} different?",
  "How do {names} differ?",
  "Could you compare {names} for me?",
  "Help me compare {names}.",
  "I would like to compare {names}.",
  "I need to compare {names}.",
  "Tell me how {names} compare.",
  "Show me how {names} compare with each other.",
  "These {nouns} are to be compared: {names}.",
  "Give me a comparison of {names}.",
];

const overviewPrompts = [
  "Tell me about {names}.",
  "Describe {names}.",
  "Give me a short overview of {names}.",
  "What should I know about {names}?",
  "Write a few words about each of these {nouns}: {names}.",
  "Describe these {nouns} briefly: {names}.",
  "I want to learn about {names}. Describe each one.",
  "Tell me something about {names}.",
  "Tell me a little about {names}.",
  "Tell me about each of these {nouns}: {names}.",
  "Tell me about each one: {names}.",
  "Tell me what you know about {names}.",
  "Say something about {names}.",
  "Say a few words about each of {names}.",
  "Write something about {names}.",
  "Write a few words about {names}.",
  "Write about each of {names}.",
  "Give me some facts about {names}.",
  "Give me a few facts about each of {names}.",
  "Give a short description of {names}.",
  "Give a short description of each of these {nouns}: {names}.",
  "Describe each of {names}.",
  "Describe {names} in a few words.",
  "Please describe {names}.",
  "Please tell me about {names}.",
  "Can you tell me about {names}?",
  "Could you describe {names} for me?",
  "What can you tell me about {names}?",
  "What do you know about these {nouns}: {names}?",
  "What are {names} like?",
  "I need to know more about {names}.",
  "I would like to hear something about {names}.",
  "Introduce the {nouns} {names} to me.",
  "Tell me something about each of {names}.",
];

function pickCount(draw: Draw): number {
  return draw.random.pick([2, 3, 4, 5, 5, 6, 6, 7, 7, 8]);
}

/** Draws several entities whose combination belongs to the split. */
function pickEntities<T extends { name: string }>(draw: Draw, all: readonly T[], count: number) {
  return draw.own(
    () => draw.random.sample(all, count),
    (entities) => entities.map((e) => e.name),
  );
}

/** The largest entity on a scale; undefined if two share the maximum. */
function largestOf<T>(entities: readonly T[], size: (entity: T) => number): T | undefined {
  const sorted = [...entities].sort((a, b) => size(b) - size(a));
  const [first, second] = sorted;
  if (first === undefined || second === undefined) return first;
  return size(first) > size(second) ? first : undefined;
}

/** Like `pickEntities`, but one entity is the largest on a scale. */
function pickRanked<T extends { name: string }>(
  draw: Draw,
  all: readonly T[],
  count: number,
  size: (entity: T) => number,
): { entities: T[]; largest: T } {
  for (;;) {
    const entities = pickEntities(draw, all, count);
    const largest = largestOf(entities, size);
    if (largest) return { entities, largest };
  }
}

function wording(draw: Draw) {
  return draw.random.chance(0.5)
    ? { prompts: comparePrompts, intro: "Here is how the {count} {nouns} compare.\n\n" }
    : { prompts: overviewPrompts, intro: "Here is a look at the {count} {nouns}.\n\n" };
}

function cityTopic(draw: Draw): Topic {
  const { entities, largest } = pickRanked(draw, cities, pickCount(draw), (c) => c.millions);
  const ending = `Of these, ${largest.name} has the most people.`;
  return {
    ...wording(draw),
    nouns: "cities",
    names: entities.map((e) => e.name),
    parts: entities.map((e) => ({
      lead: e.name,
      text: `${e.name} is a city in ${e.country} with about ${e.millions} million people. It is known for ${e.sight}. Visitors pay in ${e.currency}, most people speak ${e.language}, and the country lies in ${e.continent}. A first walk often begins at ${e.sight}, and a few words of ${e.language} help anywhere in the city.`,
      claims: [e.country, `${e.millions} million`, e.sight, e.currency, e.language, e.continent],
    })),
    ending,
    endingClaims: [ending],
  };
}

function countryTopic(draw: Draw): Topic {
  const entities = pickEntities(draw, countries, pickCount(draw));
  const [first, last] = [entities[0], entities[entities.length - 1]];
  const ending = `These are ${countWord(entities.length)} countries, from ${first?.name} to ${last?.name}.`;
  return {
    ...wording(draw),
    nouns: "countries",
    names: entities.map((e) => e.name),
    parts: entities.map((e) => ({
      lead: e.name,
      text: `${e.name} is a country in ${e.continent} and its capital is ${e.capital}. People there speak ${e.language} and pay with the ${e.currency}. A visitor to ${e.capital} should learn some ${e.language} and bring enough money. Many travellers who see ${e.continent} for the first time begin with ${e.name}, stay a few days in ${e.capital} and buy something small for a ${e.currency} or two.`,
      claims: [e.continent, e.capital, e.language, e.currency],
    })),
    ending,
    endingClaims: [ending],
  };
}

function aspectTopic(draw: Draw): Topic {
  const entities = pickEntities(draw, countries, pickCount(draw));
  type Country = (typeof countries)[number];
  const aspect = draw.random.pick([
    {
      plural: "capitals",
      one: "capital",
      sentences: (e: Country) =>
        `The capital of ${e.name} is ${e.capital}. The government of the country sits in ${e.capital}, and so do many large companies. A traveller who comes to ${e.name} will most likely begin in ${e.capital}, see its streets, museums and markets, and go on from there.`,
      value: (e: Country) => e.capital,
    },
    {
      plural: "currencies",
      one: "currency",
      sentences: (e: Country) =>
        `The currency of ${e.name} is the ${e.currency}. People all over the country use the ${e.currency} to pay for what they buy. A traveller who comes to ${e.name} will need the ${e.currency} in shops, buses and hotels, and can change money at any bank.`,
      value: (e: Country) => e.currency,
    },
    {
      plural: "main languages",
      one: "main language",
      sentences: (e: Country) =>
        `The main language of ${e.name} is ${e.language}. Most people there speak ${e.language} at home, at school and at work. A traveller who comes to ${e.name} will hear ${e.language} in shops, buses and hotels, and a few words of it are always welcome.`,
      value: (e: Country) => e.language,
    },
  ]);
  const ending = `These are the ${aspect.plural} of all ${countWord(entities.length)} countries.`;
  return {
    nouns: "countries",
    names: entities.map((e) => e.name),
    prompts: [
      `What are the ${aspect.plural} of {names}?`,
      `Name the ${aspect.one} of each of these countries: {names}.`,
      `List the ${aspect.plural} of {names}.`,
      `Tell me the ${aspect.plural} of {names}.`,
      `Which ${aspect.plural} do {names} have?`,
      `Give the ${aspect.plural} of {names}.`,
      `Give me the ${aspect.one} of each of {names}.`,
      `Please list the ${aspect.plural} of {names}.`,
      `Can you name the ${aspect.plural} of {names}?`,
      `I want to know the ${aspect.plural} of {names}.`,
      `Write down the ${aspect.plural} of these countries: {names}.`,
      `For these countries, give the ${aspect.plural}: {names}.`,
      `For {names}, tell me the ${aspect.one} of each.`,
      `For each of these countries, name the ${aspect.one}: {names}.`,
      `Here are some countries: {names}. Name the ${aspect.one} of each.`,
      `I need the ${aspect.plural} of {names}.`,
      `For each of {names}, give the ${aspect.one}.`,
    ],
    intro: `Here are the ${aspect.plural} of the {count} countries.\n\n`,
    parts: entities.map((e) => ({
      lead: e.name,
      text: aspect.sentences(e),
      claims: [aspect.value(e)],
    })),
    ending,
    endingClaims: [ending],
  };
}

function animalTopic(draw: Draw): Topic {
  const { entities, largest } = pickRanked(draw, animals, pickCount(draw), (a) => a.kilograms);
  const article = draw.random.chance(0.5);
  const ending = `The heaviest of these is the ${largest.name}.`;
  return {
    ...wording(draw),
    nouns: "animals",
    names: entities.map((e) => (article ? `the ${e.name}` : plural(e.name))),
    parts: entities.map((e) => ({
      lead: capitalize(e.name),
      text: `The ${e.name} is a ${e.kind} that lives in ${e.home}. It eats ${e.food} and weighs about ${e.kilograms} kg. In ${e.home} it finds enough ${e.food} to eat all year. A grown ${e.name} needs a good place to rest, and like any ${e.kind} it takes care of its young until they find ${e.food} alone.`,
      claims: [e.kind, e.home, e.food, `${e.kilograms} kg`],
    })),
    ending,
    endingClaims: [ending],
  };
}

function planetTopic(draw: Draw): Topic {
  const count = draw.random.pick([2, 3, 3, 4, 4, 5, 6]);
  const { entities, largest } = pickRanked(draw, planets, count, (p) => p.diameter);
  const ending = `The largest of these is ${largest.name}.`;
  return {
    ...wording(draw),
    nouns: "planets",
    names: entities.map((e) => e.name),
    parts: entities.map((e) => ({
      lead: e.name,
      text: `${e.name} is the ${e.place} planet from the sun, a world of the ${e.kind} kind. It is about ${e.diameter} km wide and has ${e.moons} known moon${e.moons === 1 ? "" : "s"}. Its ${e.kind} body makes the ${e.place} path around the sun. Seen from the earth it looks like a small point of light, but a ship that flew once around ${e.name} would need many days, because it is ${e.diameter} km wide.`,
      claims: [`${e.place} planet`, `${e.diameter} km`, `${e.moons} known`],
    })),
    ending,
    endingClaims: [ending],
  };
}

function plural(animal: string): string {
  if (animal === "wolf") return "wolves";
  if (animal === "fox" || animal === "ostrich") return `${animal}es`;
  if (animal === "salmon" || animal === "tuna") return animal;
  return `${animal}s`;
}

function compare(kind: string, makeTopic: (draw: Draw) => Topic): TaskMaker {
  return (draw) => {
    const topic = makeTopic(draw);
    const { layout, request } = layoutRequest(draw);
    const values = {
      names: enumerate(topic.names),
      nouns: topic.nouns,
      count: countWord(topic.parts.length),
    };
    return listing(layout, {
      family: "general",
      kind,
      prompt: capitalize(fill(draw.phrase(topic.prompts), values)) + request,
      intro: fill(topic.intro, values),
      parts: topic.parts,
      ending: topic.ending,
      endingClaims: topic.endingClaims,
    });
  };
}

export const compareCities = compare("compare-cities", cityTopic);
export const compareCountries = compare("compare-countries", countryTopic);
export const countryAspects = compare("country-aspects", aspectTopic);
export const compareAnimals = compare("compare-animals", animalTopic);
export const comparePlanets = compare("compare-planets", planetTopic);

/** The facts of a single entity, with nothing to branch on. */
export function oneEntity(draw: Draw): Task {
  const topic = draw.random.pick([cityTopic, countryTopic, animalTopic, planetTopic])(draw);
  const part = topic.parts[0] as ListingPart;
  const name = topic.names[0] as string;
  return {
    family: "serial",
    kind: "one-entity",
    parallel: false,
    prompt: capitalize(
      fill(
        draw.phrase([
          "Tell me about {name}.",
          "Describe {name}.",
          "What should I know about {name}?",
          "Give me a short overview of {name}.",
          "What can you tell me about {name}?",
          "Tell me something about {name}.",
          "Write a few words about {name}.",
          "Give me some facts about {name}.",
          "Please describe {name}.",
          "What do you know about {name}?",
          "I need to know more about {name}.",
          "I want to learn about {name}.",
        ]),
        { name },
      ),
    ),
    response: part.text,
    claims: part.claims.map((contains) => ({ contains })),
  };
}

/** One fact of one entity, or the larger of two entities: one sentence, never a list. */
export function oneFact(draw: Draw): Task {
  const kind = draw.random.int(0, 5);
  const make = (prompts: readonly string[], response: string, contains: string): Task => ({
    family: "serial",
    kind: "one-fact",
    parallel: false,
    prompt: draw.phrase(prompts),
    response,
    claims: [{ contains }],
  });
  const country = draw.random.pick(countries);
  switch (kind) {
    case 0:
      return make(
        [
          `What is the capital of ${country.name}?`,
          `Which city is the capital of ${country.name}?`,
          `Name the capital of ${country.name}.`,
          `Give the capital of ${country.name}.`,
          `I want to know the capital of ${country.name}.`,
          `Tell me the capital of ${country.name}.`,
        ],
        `The capital of ${country.name} is ${country.capital}.`,
        country.capital,
      );
    case 1:
      return make(
        [
          `What is the currency of ${country.name}?`,
          `Which currency is used in ${country.name}?`,
          `How do people pay in ${country.name}?`,
          `Tell me the currency of ${country.name}.`,
          `Give the currency of ${country.name}.`,
          `Name the currency of ${country.name}.`,
        ],
        `The currency of ${country.name} is the ${country.currency}.`,
        country.currency,
      );
    case 2:
      return make(
        [
          `Which language do people speak in ${country.name}?`,
          `What is the main language of ${country.name}?`,
          `Tell me the main language of ${country.name}.`,
          `Which language is spoken in ${country.name}?`,
          `What language is spoken in ${country.name}?`,
        ],
        `The main language of ${country.name} is ${country.language}.`,
        country.language,
      );
    case 3: {
      const { entities, largest } = pickRanked(draw, cities, 2, (c) => c.millions);
      const [a, b] = entities.map((e) => e.name);
      const other = entities.find((e) => e !== largest) as (typeof entities)[number];
      return make(
        [
          `Which city has more people, ${a} or ${b}?`,
          `Which is larger, ${a} or ${b}?`,
          `Is ${a} or ${b} the larger city?`,
          `Do more people live in ${a} or in ${b}?`,
        ],
        `${largest.name} is larger, with about ${largest.millions} million people against ${other.millions} million in ${other.name}.`,
        `${largest.name} is larger`,
      );
    }
    case 4: {
      const { entities, largest } = pickRanked(draw, animals, 2, (a) => a.kilograms);
      const [a, b] = entities.map((e) => e.name);
      return make(
        [
          `Which is heavier, the ${a} or the ${b}?`,
          `Which animal weighs more, the ${a} or the ${b}?`,
          `What weighs more, the ${a} or the ${b}?`,
          `Which of the two is heavier, the ${a} or the ${b}?`,
          `Is the ${a} or the ${b} heavier?`,
        ],
        `The ${largest.name} is heavier, at about ${largest.kilograms} kg.`,
        `The ${largest.name} is heavier`,
      );
    }
    default: {
      const animal = draw.random.pick(animals);
      return make(
        [
          `What does the ${animal.name} eat?`,
          `What do ${plural(animal.name)} eat?`,
          `What is the food of the ${animal.name}?`,
          `Tell me the food of the ${animal.name}.`,
          `Tell me what the ${animal.name} eats.`,
        ],
        `The ${animal.name} eats ${animal.food}.`,
        animal.food,
      );
    }
  }
}
