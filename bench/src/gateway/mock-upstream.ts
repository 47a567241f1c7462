// A server with OpenAI's API that answers at once, as its prompt says; the same one stands behind every gateway that
// is measured. `node mock-upstream.ts` prints its address as a JSON line.
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { json } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";

/** What a prompt may ask, as JSON in the last message. */
export interface MockScript {
  /** Words of the answer; each is an event of a stream. */
  words: number;
  /** Between two of them; 0: none. */
  paceMs: number;
  /** Its client's leaving is noted under this name. */
  note?: string;
}

const word = "word ";
const head = { id: "chatcmpl-mock", created: 1, model: "mock" };
const usageOf = ({ words }: MockScript) => ({
  ...{ prompt_tokens: 10, completion_tokens: words, total_tokens: words + 10 },
});

/** When clients left, by the note of their request: ms since the epoch. */
const left = new Map<string, number>();

async function stream(script: MockScript, response: ServerResponse): Promise<void> {
  response.writeHead(200, { "content-type": "text/event-stream" });
  const chunk = (choices: object[], more: object = {}) =>
    `data: ${JSON.stringify({ ...head, object: "chat.completion.chunk", choices, ...more })}\n\n`;
  const said = chunk([{ index: 0, delta: { content: word }, finish_reason: null }]);
  for (let at = 0; at < script.words && !response.destroyed; at++) {
    if (!response.write(said))
      await Promise.race([once(response, "drain"), once(response, "close")]);
    if (script.paceMs > 0) await sleep(script.paceMs);
  }
  response.write(chunk([{ index: 0, delta: {}, finish_reason: "stop" }]));
  response.write(chunk([], { usage: usageOf(script) }));
  response.end("data: [DONE]\n\n");
}

async function whole(script: MockScript, response: ServerResponse): Promise<void> {
  await sleep(script.paceMs * script.words);
  const message = { role: "assistant", content: word.repeat(script.words) };
  const choices = [{ index: 0, message, finish_reason: "stop" }];
  response.writeHead(200, { "content-type": "application/json" });
  const body = { ...head, object: "chat.completion", choices, usage: usageOf(script) };
  response.end(JSON.stringify(body));
}

interface ChatBody {
  stream?: boolean;
  messages: { content: string }[];
}

async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
  if (request.method === "GET") {
    const models = {
      object: "list",
      data: [{ id: "mock", object: "model", created: 1, owned_by: "mock" }],
    };
    response.writeHead(200, { "content-type": "application/json" });
    response.end(JSON.stringify(request.url === "/left" ? Object.fromEntries(left) : models));
    return;
  }
  const { stream: streamed, messages } = (await json(request)) as ChatBody;
  const script: MockScript = JSON.parse(messages.at(-1)?.content ?? "");
  const { note } = script;
  if (note !== undefined) {
    response.on("close", () => {
      if (!response.writableEnded) left.set(note, Date.now());
    });
  }
  await (streamed ? stream(script, response) : whole(script, response));
}

const server = createServer((request, response) => void serve(request, response));
server.listen(0, "127.0.0.1", () => {
  const { port } = server.address() as AddressInfo;
  process.stdout.write(`${JSON.stringify({ url: `http://127.0.0.1:${port}` })}\n`);
});
process.on("SIGTERM", () => process.exit(0));
