import type { Claim, Draw, Layout, Task } from "./task.ts";
import { capitalize, countWord, enumerate, fill, layOut } from "./task.ts";

/**
 * Questions over a passage. Each is answered by copying, so that the parts are independent; the
 * last sentence gathers the copied values. Names are drawn in combinations that the held-out
 * split keeps to itself.
 */

interface Field {
  label: string;
  questions: readonly string[];
  /** In the passage. */
  fact: string;
  /** In the answer. */
  answer: string;
  /** The slot whose value is the short answer. */
  value: string;
}

interface Story {
  slots: (draw: Draw) => Record<string, string>;
  fields: readonly Field[];
}

const given = [
  "Anna",
  "Ben",
  "Clara",
  "David",
  "Emma",
  "Felix",
  "Grace",
  "Henry",
  "Ida",
  "Jonas",
  "Karin",
  "Leo",
  "Mira",
  "Nora",
  "Oscar",
  "Paula",
  "Robin",
  "Sara",
  "Tom",
  "Ursula",
  "Victor",
  "Wanda",
];
const family = [
  "Holt",
  "Keller",
  "Marsh",
  "Novak",
  "Olsen",
  "Parker",
  "Quinn",
  "Reed",
  "Stone",
  "Turner",
  "Vance",
  "Weber",
  "Young",
  "Adler",
  "Brook",
  "Carter",
  "Dahl",
  "Ellis",
  "Frost",
  "Grant",
];
const towns = [
  "Dunmore",
  "Ashford",
  "Belton",
  "Corby",
  "Elmside",
  "Fairview",
  "Glenby",
  "Harwick",
  "Kirton",
  "Lowell",
  "Millbrook",
  "Norwood",
  "Oakham",
  "Redhill",
  "Stanton",
  "Westbury",
  "Thornby",
];
const weekdays = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
const colors = ["red", "blue", "green", "yellow", "white", "black", "brown", "grey"];

const person = (draw: Draw) =>
  draw
    .own(
      () => [draw.random.pick(given), draw.random.pick(family)],
      (names) => names,
    )
    .join(" ");
const year = (draw: Draw) => String(draw.random.int(1900, 2020));
const number = (draw: Draw, low: number, high: number) => String(draw.random.int(low, high));

const shop: Story = {
  slots: (draw) => ({
    kind: draw.random.pick(["bakery", "bookshop", "cafe", "flower shop", "toy shop", "garage"]),
    owner: person(draw),
    town: draw.random.pick(towns),
    year: year(draw),
    workers: number(draw, 3, 40),
    hour: number(draw, 4, 9),
    day: draw.random.pick(weekdays),
  }),
  fields: [
    {
      label: "Owner",
      questions: ["Who owns the {kind}?", "Who is the owner?", "Whose {kind} is it?"],
      fact: "{owner} owns the {kind}.",
      answer: "The {kind} is owned by {owner}.",
      value: "owner",
    },
    {
      label: "Town",
      questions: ["Where is the {kind}?", "In which town is it?", "Where can you find it?"],
      fact: "The {kind} stands in {town}.",
      answer: "The {kind} is in the town of {town}.",
      value: "town",
    },
    {
      label: "Opening year",
      questions: [
        "When did the {kind} open?",
        "In what year did it open?",
        "Since when is it open?",
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
        "How big is the staff?",
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
        "Until when is it open?",
      ],
      fact: "It closes at {hour} pm.",
      answer: "The {kind} closes at {hour} pm in the evening.",
      value: "hour",
    },
    {
      label: "Day off",
      questions: ["On which day is it shut?", "Which day is the day off?", "When is it not open?"],
      fact: "On {day} it is shut.",
      answer: "The {kind} is shut all day on {day}.",
      value: "day",
    },
  ],
};

const trip: Story = {
  slots: (draw) => ({
    traveller: person(draw),
    town: draw.random.pick(towns),
    vehicle: draw.random.pick(["train", "bus", "boat", "bicycle", "car", "plane"]),
    day: draw.random.pick(weekdays),
    nights: number(draw, 2, 14),
    cost: number(draw, 20, 400),
    color: draw.random.pick(colors),
  }),
  fields: [
    {
      label: "Traveller",
      questions: ["Who made the trip?", "Who travelled?", "Whose trip was it?"],
      fact: "{traveller} made a trip last year.",
      answer: "The trip was made by {traveller}.",
      value: "traveller",
    },
    {
      label: "Destination",
      questions: ["Where did the trip go?", "What was the destination?", "To which town was it?"],
      fact: "The trip went to {town}.",
      answer: "The destination of the trip was {town}.",
      value: "town",
    },
    {
      label: "Transport",
      questions: ["What was used to get there?", "What was the transport?", "How did they travel?"],
      fact: "The way there was by {vehicle}.",
      answer: "The way to get there was by {vehicle}.",
      value: "vehicle",
    },
    {
      label: "Start",
      questions: [
        "On which day did it start?",
        "When did the trip start?",
        "What was the first day?",
      ],
      fact: "It started on a {day}.",
      answer: "The trip started on a {day}.",
      value: "day",
    },
    {
      label: "Length",
      questions: ["How long did it last?", "How many nights was it?", "For how many nights?"],
      fact: "It lasted {nights} nights.",
      answer: "The trip lasted {nights} nights in all.",
      value: "nights",
    },
    {
      label: "Cost",
      questions: ["How much did it cost?", "What did the trip cost?", "What was the price?"],
      fact: "The ticket cost {cost} dollars.",
      answer: "The price of the ticket was {cost} dollars.",
      value: "cost",
    },
    {
      label: "Bag",
      questions: [
        "What color was the bag?",
        "Which color did the bag have?",
        "What did the bag look like?",
      ],
      fact: "The bag for it was {color}.",
      answer: "The bag for the trip was {color}.",
      value: "color",
    },
  ],
};

const club: Story = {
  slots: (draw) => ({
    kind: draw.random.pick(["chess", "garden", "music", "film", "running", "sailing"]),
    leader: person(draw),
    founder: person(draw),
    town: draw.random.pick(towns),
    day: draw.random.pick(weekdays),
    members: number(draw, 10, 99),
    fee: number(draw, 5, 60),
  }),
  fields: [
    {
      label: "Leader",
      questions: ["Who leads the {kind} club?", "Who is the leader?", "Who is in charge?"],
      fact: "{leader} leads the {kind} club.",
      answer: "The {kind} club is led by {leader}.",
      value: "leader",
    },
    {
      label: "Founder",
      questions: ["Who founded the club?", "Who is the founder?", "Who started the club?"],
      fact: "It was founded by {founder}.",
      answer: "The founder of the {kind} club is {founder}.",
      value: "founder",
    },
    {
      label: "Place",
      questions: [
        "Where does the club meet?",
        "In which town does it meet?",
        "What is the meeting place?",
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
        "What is the meeting day?",
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
        "How large is the club?",
      ],
      fact: "It has {members} members.",
      answer: "The {kind} club has {members} members.",
      value: "members",
    },
    {
      label: "Fee",
      questions: ["What is the fee?", "How much is the fee?", "What does a member pay?"],
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
  slots: Record<string, string>;
}

function drawStory(draw: Draw, count: number): Drawn {
  const story = draw.random.pick(stories);
  const slots = story.slots(draw);
  const told = draw.random.sample(story.fields, Math.max(count, draw.random.int(4, 6)));
  const fields = draw.random.sample(told, count);
  // The first field names the thing the others call "it".
  const order = story.fields.filter((f) => told.includes(f));
  return {
    passage: order.map((f) => capitalize(fill(f.fact, slots))).join(" "),
    questions: fields.map((f) => fill(draw.phrase(f.questions), slots)),
    fields,
    slots,
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
    `Use the text to answer.\n\nText: ${passage}\n\n${joined}`,
  ]);
}

export function passageQuestions(draw: Draw): Task {
  const drawn = drawStory(draw, draw.random.pick([2, 3, 3, 3, 4, 4, 5]));
  const layout: Layout = "numbers";
  const parts = drawn.fields.map((f) => ({ lead: f.label, text: fill(f.answer, drawn.slots) }));
  const values = drawn.fields.map((f) => drawn.slots[f.value] as string);
  const ending = `In short: ${enumerate(values)}.`;
  const claims: Claim[] = drawn.fields.map((f) => ({
    contains: drawn.slots[f.value] as string,
    near: f.label,
  }));
  return {
    family: "passage-questions",
    parallel: true,
    prompt: ask(draw, drawn.passage, drawn.questions),
    response: `Here are the ${countWord(parts.length)} answers from the text.\n\n${layOut(layout, parts)}${ending}`,
    claims: [...claims, { contains: ending }],
  };
}

export function passageQuestion(draw: Draw): Task {
  const drawn = drawStory(draw, 1);
  const field = drawn.fields[0] as Field;
  return {
    family: "passage-question",
    parallel: false,
    prompt: ask(draw, drawn.passage, drawn.questions)
      .replace(/questions/gi, "question")
      .replace("these question", "this question")
      .replace("\n1. ", "\n"),
    response: fill(field.answer, drawn.slots),
    claims: [{ contains: drawn.slots[field.value] as string }],
  };
}
