// What package.test.ts runs in each runtime: `program.mjs MODULE GATEWAY KEY MODEL` prints one JSON value.
import { argv } from "node:process";

const [module = "", baseURL = "", apiKey = "", model = ""] = argv.slice(2);
const { Anabranch, NotFoundError } = await import(module);
const client = new Anabranch({ baseURL, apiKey });
const content = "Describe Mercury, Earth and Mars. Give each its own section.";
const request = {
  ...{ model, messages: [{ role: "user", content }], temperature: 0, max_tokens: 600 },
  anabranch: { mode: "parallel", cache: "bypass" },
};
const whole = await client.answer(request);
const stream = client.stream(request);
const kinds = new Set();
for await (const event of stream) kinds.add(event.kind);
const left = client.stream(request);
for await (const event of left) if (event.kind === "text" && event.text !== "") break;
const error = await client.answer({ ...request, model: "none" }).catch((thrown) => thrown);
console.log(
  JSON.stringify({
    branches: [...whole.branches.keys()].length,
    same: (await stream.finalAnswer()).text === whole.text && stream.document.text === whole.text,
    kinds: [...kinds].sort(),
    refused: error instanceof NotFoundError,
  }),
);
