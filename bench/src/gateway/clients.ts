// Clients of a gateway, close to the socket: when bytes come, and how many events.
import { Agent, request as httpRequest, type IncomingMessage } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { type Quantiles, quantiles } from "../quantiles.ts";
import type { MockScript } from "./mock-upstream.ts";
import type { Mock, Target } from "./targets.ts";

/** One answer as its client saw it, ms since it was asked. */
interface Seen {
  firstMs: number;
  lastMs: number;
  events: number;
}

const agent = new Agent({ keepAlive: true, maxSockets: Number.POSITIVE_INFINITY });
const marker = Buffer.from("data: {");

/** Counts the events of a stream, which parts of it may cut anywhere. */
class EventCounter {
  #rest = Buffer.alloc(0);
  count = 0;

  add(part: Buffer): void {
    const all = Buffer.concat([this.#rest, part]);
    let after = 0;
    for (let at = all.indexOf(marker); at >= 0; at = all.indexOf(marker, after)) {
      this.count++;
      after = at + marker.length;
    }
    this.#rest = all.subarray(Math.max(after, all.length - marker.length + 1));
  }
}

function send(target: Target, script: MockScript, stream: boolean) {
  const messages = [{ role: "user", content: JSON.stringify(script) }];
  const body = JSON.stringify({ model: target.model, messages, stream });
  const request = httpRequest(`${target.base}/chat/completions`, {
    ...{ method: "POST", agent },
    headers: {
      ...target.headers,
      "content-type": "application/json",
      "content-length": Buffer.byteLength(body),
    },
  });
  const response = new Promise<IncomingMessage>((resolve, reject) => {
    request.on("response", resolve).on("error", reject);
  });
  request.end(body);
  return { request, response };
}

/** Throws if the answer is not whole. */
async function ask(target: Target, script: MockScript, stream: boolean): Promise<Seen> {
  const began = performance.now();
  const { response } = send(target, script, stream);
  const head = await response;
  if (head.statusCode !== 200) {
    const parts: Buffer[] = await head.toArray();
    throw new Error(`${target.name} answers ${head.statusCode}: ${Buffer.concat(parts)}`);
  }
  let firstMs = 0;
  const counter = new EventCounter();
  for await (const chunk of head as AsyncIterable<Buffer>) {
    if (firstMs === 0) firstMs = performance.now() - began;
    if (stream) counter.add(chunk);
  }
  const events = counter.count;
  if (stream && events < script.words) throw new Error(`${target.name} lost events of a stream`);
  return { firstMs, lastMs: performance.now() - began, events };
}

const few = { words: 10, paceMs: 0 };

export interface Latency {
  first_ms: Quantiles;
  last_ms: Quantiles;
}

/** Of `count` requests, one after another. */
export async function latency(target: Target, count: number, stream: boolean): Promise<Latency> {
  const seen: Seen[] = [];
  for (let at = 0; at < count; at++) seen.push(await ask(target, few, stream));
  return {
    first_ms: quantiles(seen.map(({ firstMs }) => firstMs)),
    last_ms: quantiles(seen.map(({ lastMs }) => lastMs)),
  };
}

/** Answers a second, of `clients` that ask again and again, `count` in all. */
export async function requestRate(target: Target, clients: number, count: number): Promise<number> {
  let left = count;
  const began = performance.now();
  const client = async () => {
    while (left-- > 0) await ask(target, few, false);
  };
  await Promise.all(Array.from({ length: clients }, client));
  return (1_000 * count) / (performance.now() - began);
}

/** Events a second over `streams` at once, `events` in all, as fast as the upstream sends them. */
export async function eventRate(target: Target, streams: number, events: number): Promise<number> {
  const script = { words: Math.ceil(events / streams), paceMs: 0 };
  const began = performance.now();
  const seen = await Promise.all(Array.from({ length: streams }, () => ask(target, script, true)));
  const total = seen.reduce((sum, each) => sum + each.events, 0);
  return (1_000 * total) / (performance.now() - began);
}

const waitMs = 20_000;

/** From a client's leaving to the upstream's hearing of it; NaN: it never heard. */
export async function abortDelays(
  target: Target,
  mock: Mock,
  count: number,
  stream: boolean,
): Promise<Quantiles> {
  const delays: number[] = [];
  for (let at = 0; at < count; at++) {
    const note = `${target.name} ${stream} ${at}`;
    const { request, response } = send(target, { words: 1_000, paceMs: 20, note }, stream);
    response.catch(() => undefined);
    if (stream) (await response).resume();
    await sleep(300);
    const leftAt = Date.now();
    request.on("error", () => undefined).destroy();
    let heard: number | undefined;
    for (
      const until = leftAt + waitMs;
      heard === undefined && Date.now() < until;
      await sleep(10)
    ) {
      heard = (await mock.left())[note];
    }
    delays.push(heard === undefined ? Number.NaN : heard - leftAt);
  }
  return quantiles(delays);
}
