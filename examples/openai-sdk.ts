// A plain chat completion with OpenAI's own SDK: only the base URL and the key differ.
//   KEY=sk-ab-… node_modules/.bin/node examples/openai-sdk.ts "What are the benefits of learning a second language?"
import OpenAI from "openai";

const { GATEWAY = "http://127.0.0.1:8787", KEY, MODEL = "smollm2:branching" } = process.env;
const [question = "What are the benefits of learning a second language?"] = process.argv.slice(2);

const client = new OpenAI({ baseURL: `${GATEWAY}/v1`, apiKey: KEY });
const completion = await client.chat.completions.create({
  model: MODEL,
  temperature: 0,
  messages: [{ role: "user", content: question }],
});
console.log(completion.choices[0]?.message.content);

// Anabranch's own counts stand in `usage.anabranch`, which the SDK passes on untyped.
const usage = completion.usage as OpenAI.CompletionUsage & {
  anabranch: { steps: number; branches: number; visible_tokens: number };
};
const { steps, branches, visible_tokens } = usage.anabranch;
console.log(`${visible_tokens} visible tokens in ${steps} steps, ${branches} branches`);
