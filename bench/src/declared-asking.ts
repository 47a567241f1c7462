// Ways to have many questions about one text answered: what each asks of a server, and when answers came.
import { setTimeout as sleep } from "node:timers/promises";
import { LaneAnswer, type LaneChunk } from "@anabranch/client";
import { serverSentData } from "@anabranch/shared/server-sent-data.ts";

/** Questions about one text. */
export interface Task {
  context: string;
  questions: readonly string[];
}

/** One way to ask, as it went. */
export interface Run {
  /** To the last byte of the last answer. */
  ms: number;
  /** To the end of the first answer. */
  firstAnswerMs: number;
  /** Of the questions, in order. */
  texts: string[];
}

/** A server with OpenAI's API, and what every request to it has in common. */
export interface Server {
  url: string;
  headers: Record<string, string>;
  fields: object;
}

export const ways = ["declared", "sequential", "concurrent"] as const;
export type Way = (typeof ways)[number];

const turnsOf = (context: string) => [{ role: "system", content: context }];

/** How often a request that no worker began is sent, as SDKs do. The gateway waits for half a minute each time. */
const attempts = 20;

async function post(server: Server, body: object, attempt = 1): Promise<Response> {
  const { url, headers, fields } = server;
  const response = await fetch(`${url}/v1/chat/completions`, {
    method: "POST",
    headers: { ...headers, "content-type": "application/json" },
    body: JSON.stringify({ ...fields, ...body }),
  });
  if (response.status === 503 && attempt < attempts) {
    await sleep(1000 * Number(response.headers.get("retry-after") ?? 1));
    return post(server, body, attempt + 1);
  }
  if (!response.ok) throw new Error(`${url}: ${response.status} ${await response.text()}`);
  return response;
}

interface Chunk {
  choices: { delta: { content?: string | null } }[];
  error?: unknown;
}

/** The chunks of a streamed answer. All ways stream, because what streaming costs is part of the time. */
async function* chunksOf(server: Server, body: object): AsyncGenerator<object> {
  for await (const data of serverSentData(await post(server, { ...body, stream: true }))) {
    const { error } = data as Chunk;
    if (error) throw new Error(JSON.stringify(error));
    yield data as object;
  }
}

/** Each question as a request of its own; `take` sees every chunk. */
async function askOne(
  server: Server,
  { context, questions }: Task,
  index: number,
  take: (chunk: object) => void,
): Promise<string> {
  const question = { role: "user", content: questions[index] };
  let text = "";
  for await (const chunk of chunksOf(server, { messages: [...turnsOf(context), question] })) {
    take(chunk);
    text += (chunk as Chunk).choices[0]?.delta.content ?? "";
  }
  return text;
}

/** One request that declares the questions. */
async function askDeclared(server: Server, { context, questions }: Task): Promise<Run> {
  const began = performance.now();
  const branches = questions.map((content, index) => ({ title: `${index}`, content }));
  const body = {
    messages: turnsOf(context),
    anabranch: { branches, cache: "bypass", stream: "lanes" },
  };
  const answer = new LaneAnswer();
  let firstAnswerMs = Number.NaN;
  for await (const chunk of chunksOf(server, body)) {
    const changes = answer.push(chunk as LaneChunk);
    if (changes.some(({ kind }) => kind === "branch_closed") && Number.isNaN(firstAnswerMs)) {
      firstAnswerMs = performance.now() - began;
    }
  }
  const ms = performance.now() - began;
  return { ms, firstAnswerMs, texts: [...answer.branches.values()].map(({ text }) => text) };
}

/** @param take sees every chunk of the answers to separate requests */
export async function ask(
  way: Way,
  server: Server,
  task: Task,
  take: (chunk: object) => void = () => {},
): Promise<Run> {
  if (way === "declared") return askDeclared(server, task);
  const began = performance.now();
  let firstAnswerMs = Number.NaN;
  const one = async (index: number) => {
    const text = await askOne(server, task, index, take);
    if (Number.isNaN(firstAnswerMs)) firstAnswerMs = performance.now() - began;
    return text;
  };
  const texts: string[] = [];
  const indices = task.questions.keys();
  if (way === "concurrent") texts.push(...(await Promise.all([...indices].map(one))));
  else for (const index of indices) texts.push(await one(index));
  return { ms: performance.now() - began, firstAnswerMs, texts };
}
