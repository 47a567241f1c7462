// The request of an answer as a program to copy. The key comes from the environment, never from this page.
import type { ChatRequest } from "./settings.ts";

export const languages = ["curl", "TypeScript", "Python"] as const;
export type Language = (typeof languages)[number];

const pretty = (value: unknown): string => JSON.stringify(value, null, 2);
const indented = (text: string): string => text.replaceAll("\n", "\n  ");

/** SDKs print the text in document order: the default way of streaming. */
function forSdk({ anabranch, stream_options: _, ...request }: ChatRequest) {
  const { stream: _lanes, ...ours } = anabranch ?? {};
  return { request, ours };
}

/** A word of the shell, whatever it holds. */
const quoted = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`;

const curl = (request: ChatRequest, origin: string) =>
  [
    `curl -N ${origin}/v1/chat/completions \\`,
    `  -H "authorization: Bearer $KEY" -H "content-type: application/json" \\`,
    `  -d ${quoted(pretty(request))}`,
  ].join("\n");

function typescript(all: ChatRequest, origin: string): string {
  const { request, ours } = forSdk(all);
  const fields = pretty(request).slice(2, -2);
  return `import OpenAI from "openai";

const client = new OpenAI({ baseURL: "${origin}/v1", apiKey: process.env.KEY });
const stream = await client.chat.completions.create({
${fields.replace('"stream": true', '"stream": true as const')},
  ...{ anabranch: ${indented(pretty(ours))} },
} as OpenAI.ChatCompletionCreateParamsStreaming);
for await (const chunk of stream) {
  process.stdout.write(chunk.choices[0]?.delta.content ?? "");
}
`;
}

/** A value as Python writes it. */
function literal(value: unknown): string {
  if (value === null || value === undefined) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (Array.isArray(value)) return `[${value.map(literal).join(", ")}]`;
  if (typeof value === "object") {
    const fields = Object.entries(value).map(([name, each]) => `"${name}": ${literal(each)}`);
    return `{${fields.join(", ")}}`;
  }
  // A JSON string is a string of Python.
  return JSON.stringify(value);
}

function python(all: ChatRequest, origin: string): string {
  const { request, ours } = forSdk(all);
  const given = Object.entries(request).map(([name, value]) => `    ${name}=${literal(value)},`);
  return `import os
from openai import OpenAI

client = OpenAI(base_url="${origin}/v1", api_key=os.environ["KEY"])
stream = client.chat.completions.create(
${given.join("\n")}
    extra_body={"anabranch": ${literal(ours)}},
)
for chunk in stream:
    if chunk.choices:
        print(chunk.choices[0].delta.content or "", end="", flush=True)
`;
}

const writers = { curl, TypeScript: typescript, Python: python };

export const snippet = (language: Language, request: ChatRequest, origin: string): string =>
  writers[language](request, origin);
