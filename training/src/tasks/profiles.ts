import { people, town } from "./names.ts";
import { colors, drawNumber } from "./passages.ts";
import type { Draw, ListingPart, Task } from "./task.ts";
import { capitalize, countWord, fill, layoutRequest, listing } from "./task.ts";

/**
 * Retrieval from a passage about several things: a profile of each, or of one of them. Each part copies from
 * the passage, so the parts are independent. Each name belongs to one split.
 */

/** Several things in one text. */
interface Things {
  /** "people" */
  nouns: string;
  /** The name of one of them in a question. */
  name: (thing: number) => string;
  facts: readonly string[];
  parts: readonly ListingPart[];
}

const jobs = [
  ...["nurse", "teacher", "baker", "driver", "painter", "farmer", "doctor", "lawyer", "singer"],
  ...["pilot", "writer", "cook", "gardener", "carpenter", "judge", "tailor", "sailor", "chemist"],
];
const hobbies = [
  ...["chess", "tennis", "swimming", "reading", "dancing", "cooking", "fishing", "hiking"],
  ...["cycling", "knitting", "sailing", "skating", "climbing", "photography", "football", "music"],
];

function persons(draw: Draw, count: number): Things {
  const all = people(draw, count).map((who) => ({
    ...who,
    job: draw.random.pick(jobs),
    town: town(draw),
    age: drawNumber(draw, 18, 79),
    hobby: draw.random.pick(hobbies),
  }));
  return {
    nouns: "people",
    name: (i) => all[i]?.full as string,
    facts: all.map(
      (p) => `${p.full} is a ${p.job} from ${p.town}. At ${p.age}, ${p.given} likes ${p.hobby}.`,
    ),
    parts: all.map((p) => ({
      lead: p.full,
      text: `${p.given} works as a ${p.job} and comes from the town of ${p.town}. At the age of ${p.age}, ${p.given} likes ${p.hobby} more than anything else. So a ${p.job} of ${p.age} years who likes ${p.hobby} is who ${p.given} is.`,
      claims: [p.job, p.town, p.age, p.hobby],
    })),
  };
}

const goods = [
  ...["lamp", "table", "chair", "clock", "mirror", "carpet", "kettle", "basket", "blanket", "vase"],
  ...["bicycle", "tent", "guitar", "radio", "camera", "suitcase", "umbrella", "helmet", "ladder"],
];

function wares(draw: Draw, count: number): Things {
  const all = draw.random.sample(goods, count).map((item) => ({
    item,
    color: draw.random.pick(colors),
    town: town(draw),
    price: drawNumber(draw, 11, 99),
    weight: drawNumber(draw, 2, 30),
  }));
  return {
    nouns: "things",
    name: (i) => `the ${all[i]?.item}`,
    facts: all.map(
      (w) =>
        `The ${w.item} is ${w.color} and costs ${w.price} dollars. It was made in ${w.town} and weighs ${w.weight} kg.`,
    ),
    parts: all.map((w) => ({
      lead: capitalize(w.item),
      text: `The ${w.item} comes from ${w.town}, and its color is ${w.color}. With a weight of ${w.weight} kg, the ${w.item} has a price of ${w.price} dollars. Whoever wants a ${w.color} ${w.item} from ${w.town} pays ${w.price} dollars for its ${w.weight} kg.`,
      claims: [w.town, w.color, `${w.weight} kg`, `${w.price} dollars`],
    })),
  };
}

const profilePrompts = [
  "{text}\n\nDescribe each of the {nouns} in this text.",
  "Read this text.\n\n{text}\n\nTell me about each of the {nouns}.",
  "Text: {text}\n\nWrite a short profile of each of the {nouns}.",
  "{text}\n\nWhat does the text say about each of the {nouns}?",
  "Read the text and describe each of the {nouns}.\n\n{text}",
  "{text}\n\nWrite a few words about each of the {nouns} in this text.",
  "Text: {text}\n\nPlease describe each of the {nouns} in it.",
  "Here is a text. {text}\n\nTell me about each of the {nouns} in the text.",
  "Here is a text. {text}\n\nDescribe each of the {nouns} in it.",
];

/** All facts of the text, one thing after another. */
export function profiles(draw: Draw): Task {
  const things = draw.random.pick([persons, wares])(draw, draw.random.pick([2, 3, 4, 4, 5, 5]));
  const count = countWord(things.parts.length);
  const ending = `The text names ${count} ${things.nouns}.`;
  const { layout, request } = layoutRequest(draw);
  return listing(layout, {
    family: "retrieval",
    kind: "profiles",
    prompt:
      fill(draw.phrase(profilePrompts), { text: things.facts.join(" "), nouns: things.nouns }) +
      request,
    intro: `Here are the ${count} ${things.nouns} from the text.\n\n`,
    parts: things.parts,
    ending,
    endingClaims: [ending],
  });
}

/** A question about one thing, on the same kinds of text. */
export function oneProfile(draw: Draw): Task {
  const count = draw.random.int(2, 5);
  const things = draw.random.pick([persons, wares])(draw, count);
  const which = draw.random.int(0, count - 1);
  const part = things.parts[which] as ListingPart;
  return {
    family: "serial",
    kind: "one-profile",
    parallel: false,
    prompt: fill(
      draw.phrase([
        "{text}\n\nDescribe {name}.",
        "Read this text.\n\n{text}\n\nTell me about {name}.",
        "Text: {text}\n\nWrite a short profile of {name}.",
        "{text}\n\nWhat does the text say about {name}?",
        "Here is a text. {text}\n\nDescribe {name}.",
        "{text}\n\nTell me more about {name}.",
        "Text: {text}\n\nI want to know about {name}.",
        "Here is a text. {text}\n\nI want to know more about {name}.",
      ]),
      { text: things.facts.join(" "), name: things.name(which) },
    ),
    response: part.text,
    claims: part.claims.map((contains) => ({ contains })),
  };
}
