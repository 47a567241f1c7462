// Several questions about one text, answered side by side: declared branches with OpenAI's own SDK.
//   KEY=sk-ab-… node_modules/.bin/node examples/declared.ts "What is Japan known for?" "What is Egypt known for?"
import { bodiesOf } from "@anabranch/client";
import OpenAI from "openai";

const { GATEWAY = "http://127.0.0.1:8787", KEY, MODEL = "smollm2:branching" } = process.env;
const [, , ...given] = process.argv;
const questions =
  given.length > 1
    ? given
    : ["What is Japan known for?", "What is Egypt known for?", "What is 7 + 5?"];

const client = new OpenAI({ baseURL: `${GATEWAY}/v1`, apiKey: KEY });
const completion = await client.chat.completions.create({
  model: MODEL,
  temperature: 0,
  max_tokens: 100,
  // What all questions share: instructions, a document, a conversation. It is prefilled once.
  messages: [{ role: "system", content: "Answer briefly." }],
  // The SDK sends fields that it does not know as they are.
  ...{ anabranch: { branches: questions.map((content) => ({ title: content, content })) } },
});

// A client that knows nothing of branches shows `message.content`: each answer under its title.
const message = completion.choices[0]?.message ?? {};
for (const [question, answer] of bodiesOf(message)) console.log(`${question}\n  ${answer.trim()}`);
