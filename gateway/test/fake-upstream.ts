// A server with OpenAI's API that answers as its prompt says: what vLLM and others send, refusals and failures
// included.
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { json } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";
import type { UpstreamScript } from "./fake-script.ts";

export interface FakeUpstream {
  url: string;
  credential: string;
  close(): Promise<void>;
}

interface ChatRequest {
  model: string;
  messages?: { role: string; content: string }[];
  prompt?: string;
}

const credential = "the upstream's own credential";
let cutRequests = 0;
/** How often an answer to this prompt has broken off. */
const broken = new Map<string, number>();

function scriptOf(prompt: string): UpstreamScript {
  return prompt.startsWith("{") ? JSON.parse(prompt) : { words: ["Answer", " to ", prompt] };
}

async function answer(body: ChatRequest, response: ServerResponse): Promise<void> {
  const prompt = body.messages?.at(-1)?.content ?? body.prompt ?? "";
  const script = scriptOf(prompt);
  if (script.status) {
    const { status, error, headers = {} } = script;
    response.writeHead(status, { "content-type": "application/json", ...headers });
    response.end(JSON.stringify(error ?? { error: { message: "no" } }));
    return;
  }
  response.writeHead(200, { "content-type": "text/event-stream" });
  const send = (chunk: object) => response.write(`data: ${JSON.stringify(chunk)}\n\n`);
  const head = { id: "theirs", object: "chat.completion.chunk", created: 1, model: body.model };
  const choice = (text: string, finish_reason: string | null = null) => ({
    ...head,
    choices: [
      body.messages
        ? { index: 0, delta: { content: text }, finish_reason }
        : { index: 0, text, finish_reason },
    ],
  });
  const words = script.saysBody
    ? [JSON.stringify(body)]
    : script.saysCut
      ? [`${cutRequests}`]
      : (script.words ?? []);
  for (const [index, word] of words.entries()) {
    const died = broken.get(prompt) ?? 0;
    if (script.dieAt === index && died < (script.dies ?? 1)) {
      broken.set(prompt, died + 1);
      // What was written before arrives.
      await new Promise((written) => response.write("", written));
      response.destroy();
      return;
    }
    if (script.failAt === index)
      return void response.end('data: {"error": {"message": "out of memory"}}\n\n');
    if (script.stepMs) await sleep(script.stepMs);
    if (response.destroyed) {
      cutRequests++;
      return;
    }
    send(choice(word));
  }
  for (const tool_calls of script.calls ?? []) {
    send({ ...head, choices: [{ index: 0, delta: { tool_calls }, finish_reason: null }] });
  }
  send(choice("", script.finish ?? "stop"));
  const usage = {
    prompt_tokens: 7,
    completion_tokens: 2 * words.length,
    prompt_tokens_details: { cached_tokens: 4 },
  };
  send({ ...head, choices: [], usage });
  response.end("data: [DONE]\n\n");
}

/** llama.cpp's server, under /llama: how often it was asked for its properties, and whether it is away. */
const llama = { asked: 0, away: false };

function serveLlama(path: string, response: ServerResponse): void {
  if (path === "/asked") return void response.end(JSON.stringify(llama));
  if (path === "/away" || path === "/back") {
    llama.away = path === "/away";
    return void response.end();
  }
  if (llama.away) return void response.writeHead(503).end();
  if (path === "/props") {
    llama.asked++;
    return void response.end('{"chat_template_caps": {"supports_tools": false}}');
  }
  const data = [{ id: "llama", object: "model", created: 1, owned_by: "llamacpp" }];
  response.end(JSON.stringify({ object: "list", data }));
}

async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
  if (request.headers.authorization !== `Bearer ${credential}`) {
    response.writeHead(401).end();
    return;
  }
  if (request.url?.startsWith("/llama/")) return serveLlama(request.url.slice(6), response);
  if (request.url === "/v1/models") {
    const data = [
      { id: "their/model", object: "model", created: 1, owned_by: "vllm", max_model_len: 8_192 },
    ];
    response.end(JSON.stringify({ object: "list", data }));
    return;
  }
  await answer((await json(request)) as ChatRequest, response);
}

export async function startFakeUpstream(): Promise<FakeUpstream> {
  const server = createServer((request, response) => void serve(request, response));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}/v1`,
    credential,
    async close() {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}
