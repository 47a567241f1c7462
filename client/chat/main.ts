// npm run chat: questions and answers in a terminal, branches side by side as they grow.
import { createInterface } from "node:readline";
import { failCommand, readCommandLine } from "@anabranch/shared/cli/command.ts";
import { keptFor, localGateway } from "@anabranch/shared/cli/local-gateway.ts";
import { integer, UsageError } from "@anabranch/shared/cli/options.ts";
import { Anabranch } from "../src/index.ts";
import { Conversation } from "./conversation.ts";
import { raceLine, reportOf } from "./report.ts";

const help = `npm run chat [-- options] [QUESTION]

Asks a gateway, and shows the answer's branches side by side as they grow. With a question it ends after the answer;
else each line that you type is a turn of one conversation. Ctrl-C ends an answer, and at the prompt the conversation.
Where the output is no terminal it is the answer's text, in document order.

  --serial          without branches
  --race            each question twice, serially, then in branches, and how long each took; past the cache
  --model NAME      (default: the first one that was taught to branch, else the first)
  --max-tokens N    of an answer (default 512)
  --temperature T   (default 0)
  --gateway URL     (default $GATEWAY, else http://127.0.0.1:8787, or the port in $ANABRANCH_PORT)
  --key KEY         (default $KEY, else the key that npm start made on this machine)
  --json            prints the answer to QUESTION, with its parts, usage and times, as one JSON value
`;

const { values, positionals } = readCommandLine({
  ...{ name: "chat", help, positionals: true },
  options: {
    serial: { type: "boolean", default: false },
    race: { type: "boolean", default: false },
    model: { type: "string" },
    "max-tokens": { type: "string", default: "512" },
    temperature: { type: "string", default: "0" },
    gateway: { type: "string" },
    key: { type: "string" },
    json: { type: "boolean", default: false },
  },
});

async function modelOf(client: Anabranch): Promise<string> {
  if (values.model) return values.model;
  const models = await client.models();
  const taught = ({ dialect }: { dialect: string | null }) => dialect && dialect !== "outline";
  const model = models.find(({ anabranch }) => taught(anabranch)) ?? models[0];
  if (!model) throw new Error("no model is served: start a worker, or wait until it is loaded");
  return model.id;
}

async function open(): Promise<Conversation> {
  const temperature = Number(values.temperature);
  if (!(temperature >= 0 && temperature <= 2)) {
    throw new UsageError("--temperature takes a number from 0 to 2");
  }
  const baseURL = values.gateway ?? (process.env.GATEWAY || localGateway());
  const apiKey = values.key ?? (process.env.KEY || keptFor(baseURL, "start-key.json", "key"));
  if (!apiKey) throw new UsageError("there is no key: name one with --key, or run npm start");
  const client = new Anabranch({ baseURL, apiKey });
  const max_tokens = integer("max-tokens", values["max-tokens"], 1);
  return new Conversation(client, { model: await modelOf(client), max_tokens, temperature });
}

/** Answers one question as the options say. @returns what --json prints */
async function answer(conversation: Conversation, question: string): Promise<object> {
  const quiet = values.json;
  if (!values.race) {
    const turn = await conversation.ask(question, values.serial ? "serial" : "auto", { quiet });
    return reportOf(turn);
  }
  const [serial, parallel] = await conversation.race(question, { quiet });
  if (!quiet) process.stderr.write(`${raceLine(serial, parallel)}\n`);
  return { serial: reportOf(serial), parallel: reportOf(parallel) };
}

/** Turn by turn, until the input ends. An answer that fails is not the end. */
async function converse(conversation: Conversation): Promise<void> {
  const { stdin: input, stdout: output } = process;
  const terminal = Boolean(input.isTTY && output.isTTY);
  const lines = createInterface({ input, output, terminal, prompt: terminal ? "> " : "" });
  // As a key in a terminal, as a signal elsewhere.
  let ended = false;
  lines.on("close", () => {
    ended = true;
  });
  const interrupt = () => {
    if (!conversation.stop()) lines.close();
  };
  lines.on("SIGINT", interrupt);
  process.on("SIGINT", interrupt);
  lines.prompt();
  for await (const line of lines) {
    if (line.trim() !== "") {
      await answer(conversation, line).catch((error: Error) => {
        process.stderr.write(`chat: ${error.message}\n`);
      });
    }
    if (!ended) lines.prompt();
  }
  process.off("SIGINT", interrupt);
}

try {
  const question = positionals.join(" ");
  if (values.json && question === "") throw new UsageError("--json takes a question; see --help");
  if (values.serial && values.race) throw new UsageError("--race has --serial in it; name one");
  const conversation = await open();
  if (question === "") await converse(conversation);
  else {
    process.on("SIGINT", () => conversation.stop());
    const report = await answer(conversation, question);
    if (values.json) process.stdout.write(`${JSON.stringify(report)}\n`);
    if (conversation.stopped) process.exitCode = 130;
  }
} catch (error) {
  failCommand("chat", error);
}
