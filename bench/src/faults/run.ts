// Streams among which one thing breaks, and how they and the pool come out of it.
import { setTimeout as sleep } from "node:timers/promises";
import { MortalCluster } from "@anabranch/gateway/local/storm/mortal-cluster.ts";
import { freePort } from "../programs.ts";
import { type Quantiles, quantiles } from "../quantiles.ts";
import { Link } from "./link.ts";
import { LyingPool } from "./lying-pool.ts";
import { type Streamed, streamOnce } from "./streams.ts";

export const faultNames = [
  ...["engine", "worker", "gateway", "network", "drain", "stalled", "lying"],
] as const;
export type FaultName = (typeof faultNames)[number];

export interface FaultFigures {
  fault: FaultName;
  streams: number;
  /** Without a whole answer. */
  failed: number;
  /** Whose text is not that of the same request when nothing breaks. */
  different: number;
  /** Clients that had to ask again. */
  asked_again: number;
  /** The longest time a client waited for its next text, beyond what it was when nothing broke. */
  added_pause_ms: Quantiles;
  /** All workers are back, and all of their KV is free. */
  pool_whole: boolean;
}

/** The second one is behind a link that may be cut; the third one's reports are lies if they should be. */
const workers = ["first", "linked", "third"] as const;
/** How long the pool may take to be whole again. */
const recoveryMs = 60_000;

class Stage {
  readonly cluster = new MortalCluster();
  #link!: Link;
  #liar: LyingPool | undefined;

  async open(lying: boolean): Promise<void> {
    const port = await freePort();
    this.#link = await Link.to(port);
    const linked = ["--port", String(port), "--url", this.#link.url];
    await this.cluster.open([]);
    if (lying) this.#liar = await LyingPool.before(this.cluster.url);
    const liar = this.#liar && [
      "--gateway",
      this.#liar.url,
      "--max-running",
      "2",
      "--max-queue",
      "1",
    ];
    await this.cluster.addWorkers(workers, (id) => {
      if (id === "linked") return linked;
      return (id === "third" && liar) || [];
    });
  }

  /** Makes it happen; resolves with what takes it back, as far as it does not mend by itself. */
  async break(fault: FaultName): Promise<() => void | Promise<void>> {
    const mended = () => {};
    switch (fault) {
      case "engine":
        await this.cluster.killEngine("first");
        return mended;
      case "worker":
        await this.cluster.killWorker("first");
        return mended;
      case "gateway":
        await this.cluster.killGateway();
        return mended;
      case "network":
        this.#link.cut();
        return () => this.#link.mend();
      case "drain":
        await this.cluster.drainWorker("first");
        return () => this.cluster.restartWorker("first");
      case "stalled":
        this.cluster.signalWorker("first", "SIGSTOP");
        return () => this.cluster.signalWorker("first", "SIGCONT");
      case "lying":
        return mended; // it lies all the time
    }
  }

  async isWhole(): Promise<boolean> {
    const until = Date.now() + recoveryMs;
    while (Date.now() < until) {
      const pool = await this.cluster.pool().catch(() => []);
      const good = pool.filter(({ healthy, draining, kv }) => {
        return healthy && !draining && kv.free === kv.total && kv.total > 0;
      });
      if (good.length === workers.length) return true;
      await sleep(100);
    }
    return false;
  }

  async close(): Promise<void> {
    this.cluster.close();
    this.#liar?.close();
    await this.#link.close();
  }
}

/** All streams at once; `atHalf` is called when half of them have some text. */
async function streamAll(
  stage: Stage,
  tenant: string,
  streams: number,
  tokens: number,
  atHalf: () => void = () => {},
): Promise<Streamed[]> {
  const client = { url: stage.cluster.url, key: await stage.cluster.key(tenant) };
  const begun = new Set<number>();
  let called = false;
  const one = (index: number) =>
    streamOnce(client, index, tokens, () => {
      begun.add(index);
      if (called || 2 * begun.size < streams) return;
      called = true;
      atHalf();
    });
  return Promise.all(Array.from({ length: streams }, (_, index) => one(index)));
}

export async function runFault(
  fault: FaultName,
  streams: number,
  tokens: number,
): Promise<FaultFigures> {
  const stage = new Stage();
  try {
    await stage.open(fault === "lying");
    const calm = await streamAll(stage, "calm", streams, tokens);
    let breaking: Promise<() => void | Promise<void>> | undefined;
    const among = await streamAll(stage, "among", streams, tokens, () => {
      breaking = stage.break(fault);
    });
    const mend = await breaking;
    await mend?.();
    const added = among.map(({ longestGapMs }, i) => longestGapMs - (calm[i]?.longestGapMs ?? 0));
    return {
      ...{ fault, streams },
      failed: [...calm, ...among].filter(({ whole }) => !whole).length,
      different: among.filter(({ text }, i) => text !== calm[i]?.text).length,
      asked_again: among.filter(({ retries }) => retries > 0).length,
      added_pause_ms: quantiles(added.map((ms) => Math.max(0, ms))),
      pool_whole: await stage.isWhole(),
    };
  } finally {
    await stage.close();
  }
}
