// Branches in a terminal, as they grow: a `lanes` stream through the client library.
//   KEY=sk-ab-… node_modules/.bin/node examples/lanes.ts "What are the benefits of learning a second language?"
import { LaneAnswer } from "@anabranch/client";
import OpenAI from "openai";

const { GATEWAY = "http://127.0.0.1:8787", KEY, MODEL = "smollm2:branching" } = process.env;
const [question = "What are the benefits of learning a second language?"] = process.argv.slice(2);

const client = new OpenAI({ baseURL: `${GATEWAY}/v1`, apiKey: KEY });
const stream = await client.chat.completions.create({
  model: MODEL,
  temperature: 0,
  messages: [{ role: "user", content: question }],
  stream: true,
  // The SDK sends fields that it does not know as they are.
  ...{ anabranch: { mode: "parallel", stream: "lanes" } },
});

const answer = new LaneAnswer();
for await (const chunk of stream) {
  answer.push(chunk);
  if (process.stdout.isTTY) draw(answer);
}
draw(answer);

/** The whole answer, one line per branch. Redrawn in place on a terminal. */
function draw({ parts }: LaneAnswer): void {
  if (process.stdout.isTTY) process.stdout.write("\x1b[2J\x1b[H");
  for (const part of parts) {
    if (part.kind === "serial") console.log(part.text.trim());
    else {
      for (const { title, text, closed, void: dropped } of part.branches) {
        // It is not part of the answer.
        if (dropped) continue;
        const [shown, name] = [text.trim(), title ?? ""];
        // A branch of the demo begins with its title, as it stands in the answer.
        const opening = shown.startsWith(name) ? "" : `${name}: `;
        console.log(`  ${closed ? "■" : "▶"} ${opening}${shown}`);
      }
    }
  }
}
