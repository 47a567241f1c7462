import { person, town } from "./names.ts";
import type { Draw, Task } from "./task.ts";
import { capitalize, countWord, fill, listing } from "./task.ts";

/**
 * Retrieval from a passage about one thing: several questions, or a single one. Each part copies from the
 * passage, so the parts are independent. Each name belongs to one split.
 */

interface Field {
  label: string;
  questions: readonly string[];
  /** Sentence of the passage. */
  fact: string;
  /** Sentence of the answer. */
  answer: string;
  /** The name of the value that is the short answer. */
  value: string;
}

interface Story {
  values: (draw: Draw) => Record<string, string>;
  fields: readonly Field[];
}

const weekdays = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
export const colors = ["red", "blue", "green", "yellow", "white", "black", "brown", "grey"];

const drawYear = (draw: Draw) => String(draw.random.int(1900, 2020));
export const drawNumber = (draw: Draw, low: number, high: number) =>
  String(draw.random.int(low, high));

const shop: Story = {
  values: (draw) => ({
    kind: draw.random.pick(["bakery", "bookshop", "cafe", "flower shop", "toy shop", "garage"]),
    owner: person(draw).full,
    town: town(draw),
    year: drawYear(draw),
    workers: drawNumber(draw, 3, 40),
    hour: drawNumber(draw, 4, 9),
    day: draw.random.pick(weekdays),
  }),
  fields: [
    {
      label: "Owner",
      questions: [
        "Who owns the {kind}?",
        "Who is the owner?",
        "Who is the owner of the {kind}?",
        "Do you know the owner?",
        "Do you know who the owner is?",
        "What is the name of the owner?",
        "Tell me who owns the {kind}.",
        "Who owns it?",
        "Do you know who owns it?",
      ],
      fact: "{owner} owns the {kind}.",
      answer: "The {kind} is owned by {owner}.",
      value: "owner",
    },
    {
      label: "Town",
      questions: [
        "Where is the {kind}?",
        "In which town is it?",
        "Where does the {kind} stand?",
        "In what town is the {kind}?",
        "Which town is it in?",
        "Tell me the town of the {kind}.",
        "What is the town of the {kind}?",
        "What town is the {kind} in?",
      ],
      fact: "The {kind} stands in {town}.",
      answer: "The {kind} is in the town of {town}.",
      value: "town",
    },
    {
      label: "Opening year",
      questions: [
        "When did the {kind} open?",
        "In what year did it open?",
        "When did it open?",
        "What is the opening year?",
        "Which year did the {kind} open?",
        "What year did it open in?",
        "Tell me when it opened.",
        "Which year did it open in?",
      ],
      fact: "It opened in {year}.",
      answer: "The {kind} opened in the year {year}.",
      value: "year",
    },
    {
      label: "Workers",
      questions: [
        "How many people work there?",
        "How many workers are there?",
        "How many people work at the {kind}?",
        "What is the number of workers?",
        "What number of workers are there?",
        "How many workers does it have?",
        "Do you know how many people work there?",
        "Tell me the number of workers.",
        "What number of people work there?",
      ],
      fact: "It has {workers} workers.",
      answer: "There are {workers} workers at the {kind}.",
      value: "workers",
    },
    {
      label: "Closing time",
      questions: [
        "When does the {kind} close?",
        "At what time does it close?",
        "When does it close?",
        "At what time does the {kind} close?",
        "What is the closing time?",
        "Which time does it close at?",
        "Tell me when it closes.",
        "At which time does the {kind} close?",
      ],
      fact: "It closes at {hour} pm.",
      answer: "The {kind} closes at {hour} pm in the evening.",
      value: "hour",
    },
    {
      label: "Day off",
      questions: [
        "On which day is it shut?",
        "Which day is the day off?",
        "On which day is the {kind} shut?",
        "On what day is it shut?",
        "Which day is it shut on?",
        "When is the {kind} shut?",
        "What is the day off?",
        "Tell me on which day it is shut.",
        "What day is it shut on?",
      ],
      fact: "On {day} it is shut.",
      answer: "The {kind} is shut all day on {day}.",
      value: "day",
    },
  ],
};

const trip: Story = {
  values: (draw) => ({
    traveller: person(draw).full,
    town: town(draw),
    vehicle: draw.random.pick(["train", "bus", "boat", "bicycle", "car", "plane"]),
    day: draw.random.pick(weekdays),
    nights: drawNumber(draw, 2, 14),
    cost: drawNumber(draw, 20, 400),
    color: draw.random.pick(colors),
  }),
  fields: [
    {
      label: "Traveller",
      questions: [
        "Who made the trip?",
        "Who travelled?",
        "Who was the traveller?",
        "What is the name of the traveller?",
        "Do you know the traveller?",
        "Do you know who made the trip?",
        "Tell me who travelled.",
        "By whom was the trip made?",
        "Do you know who travelled?",
      ],
      fact: "{traveller} made a trip last year.",
      answer: "The trip was made by {traveller}.",
      value: "traveller",
    },
    {
      label: "Destination",
      questions: [
        "Where did the trip go?",
        "What was the destination?",
        "Where did it go?",
        "Which town did the trip go to?",
        "What town was the destination?",
        "To which town did it go?",
        "What was the destination of the trip?",
        "Tell me the destination.",
        "Which town was the destination?",
      ],
      fact: "The trip went to {town}.",
      answer: "The destination of the trip was {town}.",
      value: "town",
    },
    {
      label: "Transport",
      questions: [
        "What was used to get there?",
        "What was the transport?",
        "What transport was used?",
        "How did the traveller get there?",
        "Which transport was it?",
        "What was the way to get there?",
        "Tell me the transport.",
        "Which transport was used?",
      ],
      fact: "The way there was by {vehicle}.",
      answer: "The way to get there was by {vehicle}.",
      value: "vehicle",
    },
    {
      label: "Start",
      questions: [
        "On which day did it start?",
        "When did the trip start?",
        "When did it start?",
        "On which day did the trip start?",
        "What day did it start on?",
        "Which day did the trip start?",
        "Tell me when it started.",
        "What was the day of the start?",
        "What day did the trip start on?",
      ],
      fact: "It started on a {day}.",
      answer: "The trip started on a {day}.",
      value: "day",
    },
    {
      label: "Length",
      questions: [
        "How long did it last?",
        "How many nights was it?",
        "How long did the trip last?",
        "How many nights was the trip?",
        "How many nights did the trip take?",
        "How long was it?",
        "Tell me how many nights it was.",
        "What was the number of nights?",
        "How many nights did it last?",
      ],
      fact: "It lasted {nights} nights.",
      answer: "The trip lasted {nights} nights in all.",
      value: "nights",
    },
    {
      label: "Cost",
      questions: [
        "How much did it cost?",
        "What did the trip cost?",
        "What did it cost?",
        "How much was the ticket?",
        "What was the price of the ticket?",
        "What did the ticket cost?",
        "How much did the ticket cost?",
        "Tell me the price.",
        "How much did the trip cost?",
      ],
      fact: "The ticket cost {cost} dollars.",
      answer: "The price of the ticket was {cost} dollars.",
      value: "cost",
    },
    {
      label: "Bag",
      questions: [
        "What color was the bag?",
        "Which color did the bag have?",
        "What was the color of the bag?",
        "What color did the bag have?",

        "Tell me the color of the bag.",
        "What color did its bag have?",
        "Which color was the bag?",
      ],
      fact: "The bag for it was {color}.",
      answer: "The bag for the trip was {color}.",
      value: "color",
    },
  ],
};

const club: Story = {
  values: (draw) => ({
    kind: draw.random.pick(["chess", "garden", "music", "film", "running", "sailing"]),
    leader: person(draw).full,
    founder: person(draw).full,
    town: town(draw),
    day: draw.random.pick(weekdays),
    members: drawNumber(draw, 10, 99),
    fee: drawNumber(draw, 5, 60),
  }),
  fields: [
    {
      label: "Leader",
      questions: [
        "Who leads the {kind} club?",
        "Who is the leader?",
        "Who leads it?",
        "Who is the leader of the club?",
        "What is the name of the leader?",
        "Do you know the leader?",
        "Do you know who the leader is?",
        "Tell me who leads the club.",
        "Do you know who leads the club?",
      ],
      fact: "{leader} leads the {kind} club.",
      answer: "The {kind} club is led by {leader}.",
      value: "leader",
    },
    {
      label: "Founder",
      questions: [
        "Who founded the club?",
        "Who is the founder?",
        "Who founded it?",
        "Who was the founder?",
        "Who is the founder of the club?",
        "What is the name of the founder?",
        "Do you know who founded it?",
        "By whom was it founded?",
        "Tell me who founded the club.",
        "Who was the founder of it?",
      ],
      fact: "It was founded by {founder}.",
      answer: "The founder of the {kind} club is {founder}.",
      value: "founder",
    },
    {
      label: "Place",
      questions: [
        "Where does the club meet?",
        "In which town does it meet?",
        "Where does it meet?",
        "In what town does the club meet?",
        "Which town does it meet in?",
        "Which town is the club in?",
        "What is the town of the club?",
        "Tell me where the club meets.",
        "Which town does the club meet in?",
      ],
      fact: "The club meets in {town}.",
      answer: "The {kind} club meets in {town}.",
      value: "town",
    },
    {
      label: "Meeting day",
      questions: [
        "On which day does it meet?",
        "When does the club meet?",
        "When does it meet?",
        "On which day does the club meet?",
        "What day does it meet on?",
        "Which day is the meeting?",
        "What is the day of the meeting?",
        "Tell me when the club meets.",
        "Which day does the club meet on?",
      ],
      fact: "The meeting is every {day}.",
      answer: "The {kind} club meets every {day}.",
      value: "day",
    },
    {
      label: "Members",
      questions: [
        "How many members are there?",
        "How many people are in it?",
        "How many members does it have?",
        "How many members has the club?",
        "What is the number of members?",
        "How many people are in the club?",
        "Tell me the number of members.",
        "What number of members does it have?",
        "What number of members are there?",
      ],
      fact: "It has {members} members.",
      answer: "The {kind} club has {members} members.",
      value: "members",
    },
    {
      label: "Fee",
      questions: [
        "What is the fee?",
        "How much is the fee?",
        "What is the fee of the club?",
        "What does a member pay?",
        "How much does a member pay?",
        "What is the fee for a year?",
        "Tell me the fee.",
        "How much is it a year?",
        "How much is the fee of the club?",
      ],
      fact: "The fee is {fee} dollars a year.",
      answer: "A member pays {fee} dollars a year.",
      value: "fee",
    },
  ],
};

const stories = [shop, trip, club];

interface Drawn {
  passage: string;
  questions: string[];
  fields: Field[];
  values: Record<string, string>;
}

function drawStory(draw: Draw, count: number): Drawn {
  const story = draw.random.pick(stories);
  const values = story.values(draw);
  const included = draw.random.sample(story.fields, Math.max(count, draw.random.int(4, 6)));
  const fields = draw.random.sample(included, count);
  // The first field names the thing the others call "it".
  const order = story.fields.filter((f) => included.includes(f));
  return {
    passage: order.map((f) => capitalize(fill(f.fact, values))).join(" "),
    questions: fields.map((f) => fill(draw.phrase(f.questions), values)),
    fields,
    values,
  };
}

function ask(draw: Draw, passage: string, questions: readonly string[]): string {
  const joined = questions.join(" ");
  const numbered = questions.map((q, i) => `${i + 1}. ${q}`).join("\n");
  return draw.phrase([
    `${passage}\n\n${joined}`,
    `Read this passage and answer the questions.\n\n${passage}\n\n${numbered}`,
    `Passage: ${passage}\n\nQuestions: ${joined}`,
    `${passage}\n\nAnswer these questions about the text:\n${numbered}`,
    `Here is a text. ${passage}\n\nPlease answer: ${joined}`,
    `Read this text. ${passage}\n\n${joined}`,
    `Text: ${passage}\n\nUse the text to answer these questions. ${joined}`,
    `Answer from the text.\n\nText: ${passage}\n\nQuestions:\n${numbered}`,
    `Please read the passage.\n\n${passage}\n\nPlease answer the questions:\n${numbered}`,
    `Use the text to answer.\n\nText: ${passage}\n\n${joined}`,
  ]);
}

export function passageQuestions(draw: Draw): Task {
  const drawn = drawStory(draw, draw.random.pick([2, 3, 4, 4, 5, 5, 6]));
  const parts = drawn.fields.map((f) => {
    const value = drawn.values[f.value] as string;
    return {
      lead: f.label,
      text: `${fill(f.answer, drawn.values)} The text says: ${capitalize(fill(f.fact, drawn.values))} So the answer to this question is ${value}, and nothing else in the text speaks against it.`,
      claims: [value],
    };
  });
  const ending = `The text answers all ${countWord(parts.length)} questions.`;
  return listing("numbers", {
    family: "retrieval",
    kind: "passage-questions",
    prompt: ask(draw, drawn.passage, drawn.questions),
    intro: `Here are the ${countWord(parts.length)} answers from the text.\n\n`,
    parts,
    ending,
    endingClaims: [ending],
  });
}

/** One question about a text of the same kind, answered in a sentence. */
export function passageQuestion(draw: Draw): Task {
  const drawn = drawStory(draw, 1);
  const field = drawn.fields[0] as Field;
  return {
    family: "serial",
    kind: "passage-question",
    parallel: false,
    prompt: ask(draw, drawn.passage, drawn.questions)
      .replace(/questions/gi, "question")
      .replace("these question", "this question")
      .replace("\n1. ", "\n"),
    response: fill(field.answer, drawn.values),
    claims: [{ contains: drawn.values[field.value] as string }],
  };
}
