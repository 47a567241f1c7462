// Hostile bodies, keys that nobody made and connections that say nothing, beside streams of good clients.
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { type Client, model } from "./asking.ts";
import { MortalCluster } from "./mortal-cluster.ts";
import { p99, timedStream } from "./streams.ts";

export interface HostileSizes {
  bodies: number;
  keys: number;
  connections: number;
  streams: number;
  /** Tokens of a good answer. */
  tokens: number;
  /** How long the gateway's memory may take to come back to where it was. */
  settle_seconds: number;
}

export interface HostileFigures extends HostileSizes {
  /** How hostile bodies were answered. */
  statuses: Record<string, number>;
  /** Unknown keys that were answered with anything but 401. */
  wrong_keys: number;
  /** Good answers that failed. */
  failed: number;
  /** p99 of the time between two parts of a good answer, alone and in the storm. */
  gap_ms: { alone: number; storm: number };
  /** Of the gateway: before, the most, and at last after the storm. */
  memory_mib: { before: number; most: number; after: number };
  /** Processes that are not the same as before. */
  restarted: number;
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

/** Good streams, one after another in each of `streams` places, until `isOver`. */
async function goodStreams(
  client: Client,
  { streams, tokens }: HostileSizes,
  isOver: () => boolean,
) {
  const gaps: number[] = [];
  let failed = 0;
  await Promise.all(
    Array.from({ length: streams }, async (_, at) => {
      do {
        const { status, gapsMs } = await timedStream(client, `Describe Mars, ${at}.`, tokens);
        gaps.push(...gapsMs);
        if (status !== 200) failed++;
      } while (!isOver());
    }),
  );
  return { gaps, failed };
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

async function attack(client: Client, sizes: HostileSizes) {
  const statuses: Record<string, number> = {};
  let wrongKeys = 0;
  const sockets = await halfOpen(client.url, client.key, sizes.connections);
  const send = (key: string, body: string) =>
    fetch(`${client.url}/v1/chat/completions`, {
      ...{ method: "POST", body, headers: { authorization: `Bearer ${key}` } },
    }).then(async (response) => {
      await response.arrayBuffer();
      return response.status;
    });
  await Promise.all([
    repeat(sizes.bodies, bodiesAtOnce, async (index) => {
      const body = hostileBodies[index % hostileBodies.length];
      const status = await send(client.key, body?.() ?? "").catch(() => "broken off");
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

export async function hostileStorm(sizes: HostileSizes): Promise<HostileFigures> {
  const cluster = new MortalCluster();
  try {
    await cluster.open(["only"]);
    const good = { url: cluster.url, key: await cluster.key("good") };
    const bad = { url: cluster.url, key: await cluster.key("bad") };
    const alone = await goodStreams(good, sizes, () => true);
    const before = cluster.memoryMiB;
    const processes = cluster.processes;
    let most = before;
    const watching = setInterval(() => {
      most = Math.max(most, cluster.memoryMiB);
    }, 100);
    let isOver = false;
    const streams = goodStreams(good, sizes, () => isOver);
    const attacked = await attack(bad, sizes).finally(() => {
      isOver = true;
    });
    const beside = await streams;
    clearInterval(watching);
    // Memory is given back when garbage is collected, which is some time later.
    const until = Date.now() + 1_000 * sizes.settle_seconds;
    while (cluster.memoryMiB > 1.2 * before && Date.now() < until) await sleep(500);
    return {
      ...sizes,
      ...{ statuses: attacked.statuses, wrong_keys: attacked.wrongKeys },
      failed: alone.failed + beside.failed,
      gap_ms: { alone: p99(alone.gaps), storm: p99(beside.gaps) },
      memory_mib: { before, most, after: cluster.memoryMiB },
      restarted: cluster.processes.filter((pid, at) => pid !== processes[at]).length,
    };
  } finally {
    cluster.close();
  }
}
