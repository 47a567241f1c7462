// What hostile clients send: bodies that no endpoint takes, keys that nobody made, and connections that say nothing.
// It runs in a thread of its own, so that the clock of the good clients does not stop while bodies are made.
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";
import { type Client, model } from "./asking.ts";

export interface AttackSizes {
  bodies: number;
  keys: number;
  connections: number;
}

export interface Attacked {
  /** How hostile bodies were answered. */
  statuses: Record<string, number>;
  /** Unknown keys that were answered with anything but 401. */
  wrongKeys: number;
}

interface Attack {
  client: Client;
  sizes: AttackSizes;
}

const many = (count: number, part: string) => Array.from({ length: count }, () => part).join(",");
const chat = (messages: string) => `{"model":"${model}","messages":${messages}}`;

/** Each is refused for its first fault, with 4xx. */
const hostileBodies: readonly (() => string)[] = [
  () => chat(`[{"role":"user","content":[${many(3_200_000, "{}")}]}]`),
  () => chat(`[${many(130_000, "{}")}]`),
  () => chat("[".repeat(100_000)),
  () =>
    `{"model":"${model}","messages":[{"role":"user","content":"x"}],"stop":[${many(500_000, '"a"')}]}`,
  () => `{"model":"${model}","logit_bias":{${many(200_000, '"1":1')}}}`,
  () => "{".repeat(1_000_000),
  () => `"${"x".repeat(9_900_000)}"`,
  () => "not JSON",
  () => chat('[{"role":"user","content":null}]'),
  () => "x".repeat(12_000_000),
];
const bodiesAtOnce = 4;
const keysAtOnce = 50;

/** Runs `task` `count` times, at most `atOnce` at a time. */
async function repeat(count: number, atOnce: number, task: (index: number) => Promise<void>) {
  let next = 0;
  const run = async () => {
    for (let index = next++; index < count; index = next++) await task(index);
  };
  await Promise.all(Array.from({ length: atOnce }, run));
}

/** Connections that send half a request, or half of its head, and then nothing. */
async function halfOpen(url: string, key: string, count: number): Promise<Socket[]> {
  const { hostname, port } = new URL(url);
  return await Promise.all(
    Array.from({ length: count }, async (_, at) => {
      const socket = connect(Number(port), hostname).on("error", () => undefined);
      await once(socket, "connect");
      const head = `POST /v1/chat/completions HTTP/1.1\r\nHost: ${hostname}\r\n`;
      const more = `Authorization: Bearer ${key}\r\nContent-Length: 500\r\n\r\n{"model":`;
      socket.write(at % 2 === 0 ? head : head + more);
      return socket.resume();
    }),
  );
}

async function attack({ client, sizes }: Attack): Promise<Attacked> {
  const statuses: Record<string, number> = {};
  let wrongKeys = 0;
  const bodies = hostileBodies.map((body) => Buffer.from(body()));
  const sockets = await halfOpen(client.url, client.key, sizes.connections);
  const send = (key: string, body: string | Buffer<ArrayBuffer>) =>
    fetch(`${client.url}/v1/chat/completions`, {
      ...{ method: "POST", body, headers: { authorization: `Bearer ${key}` } },
    }).then(async (response) => {
      await response.arrayBuffer();
      return response.status;
    });
  await Promise.all([
    repeat(sizes.bodies, bodiesAtOnce, async (index) => {
      const body = bodies[index % bodies.length] ?? "";
      const status = await send(client.key, body).catch(() => "broken off");
      statuses[status] = (statuses[status] ?? 0) + 1;
    }),
    repeat(sizes.keys, keysAtOnce, async (index) => {
      const key = `sk-ab-${String(index).padStart(12, "0")}-${"x".repeat(46)}`;
      if ((await send(key, "{}").catch(() => 0)) !== 401) wrongKeys++;
    }),
  ]);
  for (const socket of sockets) socket.destroy();
  return { statuses, wrongKeys };
}

/** Ends when every attack has been answered. */
export async function attackFrom(client: Client, sizes: AttackSizes): Promise<Attacked> {
  const workerData: Attack = { client, sizes };
  const thread = new Worker(new URL(import.meta.url), { workerData });
  const [attacked] = await once(thread, "message");
  return attacked;
}

if (!isMainThread && parentPort && workerData?.sizes) {
  parentPort.postMessage(await attack(workerData as Attack));
}
