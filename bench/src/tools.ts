// npm run bench -- tools: whether a real model's calls of tools and extracted objects are valid and fitting.
import { availableParallelism } from "node:os";
import { basename } from "node:path";
import { openTestCluster } from "@anabranch/gateway/local/test-cluster.ts";
import { locateModel, modelHelp } from "@anabranch/gpu-worker/model/locate.ts";
import { dtypes } from "@anabranch/native";
import { integer, oneOf, required } from "@anabranch/shared/cli/options.ts";
import { Ajv2020 } from "ajv/dist/2020.js";
import addFormats from "ajv-formats";
import OpenAI from "openai";
import { columns, type Machine, say, thisMachine } from "./report.ts";
import { defineSubject } from "./subject.ts";
import { extractions, requests, tools } from "./tool-tasks.ts";

const help = `npm run bench -- tools --model MODEL [options]

Starts the gateway and a worker, and asks a model that knows tools: ${requests.length} requests for one of ${tools.length} functions, each with
tool_choice auto, required and the fitting function's name, every second one streamed, and after every third call a turn
with the tool's result; then ${extractions.length} texts as objects of a JSON schema. Answers are greedy. ajv validates every argument and
object. Exits with 1 if one is not valid.

  --model MODEL     ${modelHelp}
  --threads N       engine threads (default: one per core)
  --dtype TYPE      ${dtypes.join(", ")} (default auto)
  --tokens N        max_tokens of an answer (default 300)
  --json            print one JSON value to stdout
`;

const choices = ["auto", "required", "named"] as const;
type Choice = (typeof choices)[number];

interface ChoiceFigures {
  requests: number;
  /** Answers with a call, and with one of the function that fits. */
  called: number;
  fitting: number;
  /** Answers that max_tokens cut. */
  cut: number;
  /** Calls of whole answers, and those of them whose arguments the function's schema takes. */
  calls: number;
  valid: number;
}

/** What the command prints with --json. */
export interface ToolsFigures {
  machine: Machine;
  model: string;
  dtype: string;
  choices: Record<Choice, ChoiceFigures>;
  /** Turns after a tool's result, and those answered with text. */
  results: { turns: number; answered: number };
  /** Texts as objects: `right` has every field as the text says. */
  objects: { requests: number; cut: number; valid: number; right: number };
  invalid: string[];
}

const ajv = new Ajv2020({ strict: false });
addFormats.default(ajv);
const takes = new Map(
  tools.map(({ function: { name, parameters } }) => [name, ajv.compile(parameters)]),
);

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

type Body = Omit<OpenAI.ChatCompletionCreateParamsNonStreaming, "model" | "stream">;
type Call = OpenAI.ChatCompletionMessageFunctionToolCall;

class Client {
  readonly #openai: OpenAI;
  readonly #tokens: number;
  readonly invalid: string[] = [];

  constructor(openai: OpenAI, tokens: number) {
    this.#openai = openai;
    this.#tokens = tokens;
  }

  async #choice(fields: Body, streamed: boolean) {
    const body = { model: "bench", temperature: 0, max_tokens: this.#tokens, ...fields };
    const { choices } = streamed
      ? await this.#openai.chat.completions.stream(body).finalChatCompletion()
      : await this.#openai.chat.completions.create(body);
    const [choice] = choices;
    if (!choice) throw new Error("an answer without choices");
    return choice;
  }

  async call(choice: Choice, results: ToolsFigures["results"]): Promise<ChoiceFigures> {
    const out = { requests: 0, called: 0, fitting: 0, cut: 0, calls: 0, valid: 0 };
    for (const [at, { prompt, fits }] of requests.entries()) {
      const messages: Body["messages"] = [{ role: "user", content: prompt }];
      const tool_choice =
        choice === "named" ? { type: "function" as const, function: { name: fits } } : choice;
      const answer = await this.#choice({ messages, tools, tool_choice }, at % 2 === 1);
      const calls = (answer.message.tool_calls ?? []) as Call[];
      out.requests++;
      if (answer.finish_reason === "length") {
        out.cut++;
        continue;
      }
      if (calls.length > 0) out.called++;
      if (calls.some((call) => call.function.name === fits)) out.fitting++;
      for (const { function: made } of calls) {
        out.calls++;
        if (takes.get(made.name)?.(parsed(made.arguments))) out.valid++;
        else this.invalid.push(`${made.name}(${made.arguments})`);
      }
      if (calls.length === 0 || at % 3 !== 0) continue;
      const given = calls.map(({ id }) => ({
        ...{ role: "tool" as const, tool_call_id: id, content: '{"status": "done"}' },
      }));
      const made = { role: "assistant" as const, content: null, tool_calls: calls };
      const after = await this.#choice({ messages: [...messages, made, ...given], tools }, true);
      results.turns++;
      if (after.message.content) results.answered++;
    }
    return out;
  }

  async extract(): Promise<ToolsFigures["objects"]> {
    const out = { requests: 0, cut: 0, valid: 0, right: 0 };
    for (const [at, { words, schema, facts }] of extractions.entries()) {
      const content = `Answer with a JSON object that has the fields ${Object.keys(facts).join(", ")} of this text:\n\n${words}`;
      const response_format = {
        ...{ type: "json_schema" as const, json_schema: { name: "facts", schema, strict: true } },
      };
      const messages = [{ role: "user" as const, content }];
      const answer = await this.#choice({ messages, response_format }, at % 2 === 1);
      out.requests++;
      if (answer.finish_reason === "length") {
        out.cut++;
        continue;
      }
      const found = parsed(answer.message.content ?? "") as Record<string, unknown> | undefined;
      if (!ajv.validate(schema, found)) this.invalid.push(answer.message.content ?? "");
      else {
        out.valid++;
        if (Object.entries(facts).every(([name, fact]) => found?.[name] === fact)) out.right++;
      }
    }
    return out;
  }
}

const share = (part: number, whole: number) => `${part} of ${whole}`;

function table({ model, dtype, choices: by, results, objects, invalid }: ToolsFigures): string {
  const rows = choices.map((choice) => {
    const { requests: asked, called, fitting, cut, calls, valid } = by[choice];
    return [choice, ...[asked, called, fitting, cut, calls, valid].map(String)];
  });
  return `${model}, ${dtype}

${columns([["choice", "requests", "called", "fitting", "cut", "calls", "valid"], ...rows]).join("\n")}

after a tool's result: ${share(results.answered, results.turns)} answered with text
objects of a schema: ${share(objects.valid, objects.requests - objects.cut)} valid, ${share(objects.right, objects.requests)} with all fields right
${invalid.map((each) => `not valid: ${each}\n`).join("")}`;
}

export const subject = defineSubject({
  help,
  options: {
    model: { type: "string" },
    threads: { type: "string", default: String(availableParallelism()) },
    dtype: { type: "string", default: "auto" },
    tokens: { type: "string", default: "300" },
  },
  async measure(values): Promise<ToolsFigures> {
    const { path } = await locateModel(required("model", values.model));
    const threads = integer("threads", values.threads, 1, 1024);
    const dtype = oneOf("dtype", values.dtype, dtypes);
    const cluster = await openTestCluster();
    try {
      const worker = ["--model", path, "--model-id", "bench", "--threads", String(threads)];
      await cluster.addWorker("bench", [...worker, "--dtype", dtype]);
      const apiKey = await cluster.key("bench");
      const openai = new OpenAI({ baseURL: `${cluster.url}/v1`, apiKey, maxRetries: 0 });
      const client = new Client(openai, integer("tokens", values.tokens, 1, 100_000));
      const results = { turns: 0, answered: 0 };
      const by: Partial<Record<Choice, ChoiceFigures>> = {};
      for (const choice of choices) {
        say(`tool_choice ${choice}`);
        by[choice] = await client.call(choice, results);
      }
      say("objects");
      const objects = await client.extract();
      return {
        machine: thisMachine(threads),
        ...{ model: basename(path), dtype, choices: by as Record<Choice, ChoiceFigures> },
        ...{ results, objects, invalid: client.invalid },
      };
    } finally {
      await cluster.close();
    }
  },
  table,
  passed: ({ invalid }) => invalid.length === 0,
});
