// What `bench -- tools` asks: functions as applications have them, requests for one of them, and texts to read.

type Schema = Record<string, unknown>;

const object = (
  properties: Record<string, Schema>,
  required = Object.keys(properties),
): Schema => ({
  ...{ type: "object", properties, required, additionalProperties: false },
});
const text = (description: string): Schema => ({ type: "string", description });
const date = { type: "string", format: "date", description: "YYYY-MM-DD" };
const currency = { type: "string", pattern: "^[A-Z]{3}$", description: "ISO code, such as EUR" };

const tool = (name: string, description: string, parameters: Schema) => ({
  ...{ type: "function" as const, function: { name, description, parameters } },
});

export const tools = [
  tool(
    "get_weather",
    "The weather of a city.",
    object(
      {
        city: text("The name of the city"),
        days: { type: "integer", minimum: 1, maximum: 14, description: "Days of the forecast" },
        unit: { enum: ["celsius", "fahrenheit"] },
      },
      ["city"],
    ),
  ),
  tool(
    "send_email",
    "Sends an email.",
    object(
      {
        to: { type: "array", items: { type: "string", format: "email" }, minItems: 1, maxItems: 5 },
        subject: text("The subject line"),
        body: text("The text"),
      },
      ["to", "subject", "body"],
    ),
  ),
  tool(
    "create_event",
    "Puts an event into the calendar.",
    object(
      {
        title: text("What it is"),
        date,
        start: { type: "string", pattern: "^([01][0-9]|2[0-3]):[0-5][0-9]$", description: "HH:MM" },
        attendees: { type: "array", items: text("A name"), maxItems: 8 },
      },
      ["title", "date", "start"],
    ),
  ),
  tool(
    "search_flights",
    "Looks for flights.",
    object(
      {
        from: text("City of departure"),
        to: text("City of arrival"),
        date,
        passengers: { type: "integer", minimum: 1, maximum: 9 },
        cabin: { enum: ["economy", "business", "first"] },
      },
      ["from", "to", "date"],
    ),
  ),
  tool(
    "convert_currency",
    "Converts an amount of money into another currency.",
    object({ amount: { type: "number", exclusiveMinimum: 0 }, from: currency, to: currency }),
  ),
  tool(
    "set_reminder",
    "Reminds the user of something after some minutes.",
    object({ text: text("Of what"), minutes: { type: "integer", minimum: 1, maximum: 1440 } }),
  ),
  tool(
    "play_music",
    "Plays music.",
    object({ query: text("A title, an artist or a kind of music"), shuffle: { type: "boolean" } }, [
      "query",
    ]),
  ),
];

/** Each with the function that fits. */
export const requests: { prompt: string; fits: string }[] = [
  { prompt: "What's the weather in Oslo for the next three days?", fits: "get_weather" },
  { prompt: "Is it warm in Lima today?", fits: "get_weather" },
  { prompt: "Give me the forecast for Nairobi in Fahrenheit.", fits: "get_weather" },
  {
    prompt: "Write an email to ana@example.com that the meeting is moved to Friday.",
    fits: "send_email",
  },
  { prompt: "Email bob@example.org and thank him for the report.", fits: "send_email" },
  {
    prompt: "Tell kim@example.com by mail that dinner starts at seven, with a friendly subject.",
    fits: "send_email",
  },
  {
    prompt: "Put a dentist appointment on 2027-03-04 at 09:30 into my calendar.",
    fits: "create_event",
  },
  { prompt: "Schedule lunch with Mia and Noah on 2027-05-11 at 12:15.", fits: "create_event" },
  { prompt: "Add a team review to my calendar: 2027-01-20, 16:00.", fits: "create_event" },
  {
    prompt: "Find flights from Berlin to Madrid on 2027-06-02 for two people.",
    fits: "search_flights",
  },
  {
    prompt: "I need a business class flight from Tokyo to Sydney on 2027-09-14.",
    fits: "search_flights",
  },
  { prompt: "Which flights go from Toronto to Paris on 2027-07-30?", fits: "search_flights" },
  { prompt: "How much is 250 US dollars in euros?", fits: "convert_currency" },
  { prompt: "Convert 1,999.50 Swiss francs to Japanese yen.", fits: "convert_currency" },
  { prompt: "What are 80 pounds sterling in Indian rupees?", fits: "convert_currency" },
  { prompt: "Remind me in 20 minutes to take the bread out of the oven.", fits: "set_reminder" },
  { prompt: "In two hours, remind me to call my mother.", fits: "set_reminder" },
  { prompt: "Set a reminder in 5 minutes: drink water.", fits: "set_reminder" },
  { prompt: "Play some jazz by Miles Davis.", fits: "play_music" },
  { prompt: "Put on my running playlist and shuffle it.", fits: "play_music" },
];

const person = object({
  name: text("The full name"),
  age: { type: "integer", minimum: 0, maximum: 130 },
  city: text("Where the person lives"),
});
const order = object({
  product: text("What was ordered"),
  quantity: { type: "integer", minimum: 1 },
  price: { type: "number", minimum: 0 },
  express: { type: "boolean" },
});

const personIn = (words: string, name: string, age: number, city: string) => ({
  ...{ words, schema: person, facts: { name, age, city } as Record<string, unknown> },
});
const orderIn = (words: string, ...facts: [string, number, number, boolean]) => {
  const [product, quantity, price, express] = facts;
  return {
    words,
    schema: order,
    facts: { product, quantity, price, express } as Record<string, unknown>,
  };
};

/** Texts, and what they say. */
export const extractions = [
  personIn("Ida Holm is 34 years old and lives in Bergen.", "Ida Holm", 34, "Bergen"),
  personIn("From Porto we heard Rui Costa, a baker of 52.", "Rui Costa", 52, "Porto"),
  personIn("Mei Tanaka turned 19 last week. Her home is Osaka.", "Mei Tanaka", 19, "Osaka"),
  personIn("At 71, Otto Braun still walks through Vienna, his city.", "Otto Braun", 71, "Vienna"),
  personIn("Lea Martin (28) has moved to Lyon.", "Lea Martin", 28, "Lyon"),
  personIn("Our colleague in Quito is Pablo Vega, aged 45.", "Pablo Vega", 45, "Quito"),
  personIn("Amina Diallo, 60, has always lived in Dakar.", "Amina Diallo", 60, "Dakar"),
  personIn("Tom Reed is a student of 23 in Leeds.", "Tom Reed", 23, "Leeds"),
  personIn("In Cork lives Nora Walsh, who is 37.", "Nora Walsh", 37, "Cork"),
  personIn("Ivan Petrov of Varna will be 41 in June; now he is 40.", "Ivan Petrov", 40, "Varna"),
  orderIn("Two lamps at 39.5 each, no hurry.", "lamps", 2, 39.5, false),
  orderIn("Please send 12 notebooks for 3 euros each by express.", "notebooks", 12, 3, true),
  orderIn("One bicycle, 480 dollars, normal delivery.", "bicycle", 1, 480, false),
  orderIn("I need 5 chairs today by express. They cost 75 each.", "chairs", 5, 75, true),
  orderIn("Order: 30 candles, 1.25 each, standard post.", "candles", 30, 1.25, false),
  orderIn("Send 3 tents by express; 199.99 each.", "tents", 3, 199.99, true),
  orderIn("8 mugs for 6.4 each. Not urgent, normal shipping.", "mugs", 8, 6.4, false),
  orderIn("A printer for 149, express please. Just one.", "printer", 1, 149, true),
  orderIn("Four keyboards, 59 each, regular shipping.", "keyboards", 4, 59, false),
  orderIn("100 pens at 0.8, express delivery.", "pens", 100, 0.8, true),
];
