// Hostile bodies, keys that nobody made and connections that say nothing, beside streams of good clients.
import { setTimeout as sleep } from "node:timers/promises";
import type { Client } from "./asking.ts";
import { attackFrom } from "./attack.ts";
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
    const attacked = await attackFrom(bad, sizes).finally(() => {
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
