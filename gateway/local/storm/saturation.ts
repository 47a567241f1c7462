// A worker with more requests than it can take, for minutes: what the busy ones are told, what a quiet tenant notices,
// and whether memory grows.
import { setTimeout as sleep } from "node:timers/promises";
import { MortalCluster } from "./mortal-cluster.ts";
import { p99, timedStream } from "./streams.ts";

export interface SaturationSizes {
  seconds: number;
  /** Clients that ask again as soon as they are answered or refused. */
  clients: number;
}

export interface SaturationFigures extends SaturationSizes {
  /** Of the busy clients' requests; "none" is one without an answer. */
  statuses: Record<string, number>;
  /** Refusals without a Retry-After. */
  untold: number;
  /** Requests that came as late as a 429 had said, and those of them that were let in. */
  retries: { asked: number; let_in: number };
  /** p99 of a quiet tenant's first text, alone and beside the others. */
  first_text_ms: { alone: number; beside: number };
  /** Requests of the quiet tenant that failed. */
  quiet_failed: number;
  /** Of the gateway: the most in the second and in the last fifth of the time. */
  memory_mib: { early: number; late: number };
}

const worker = ["--max-running", "8", "--max-queue", "24"];
const tokens = 40;
/** How requests may be answered. Anything else is a fault. */
export const expectedStatuses: readonly number[] = [200, 429, 503];
/** Of the key whose Retry-After is taken at its word. */
const strictRpm = 3;
const quietPauseMs = 500;
const aloneCount = 20;
/** A client that is refused asks again this soon, whatever it was told. */
const impatienceMs = 200;

class Saturation {
  readonly #cluster: MortalCluster;
  readonly #until: number;
  readonly statuses: Record<string, number> = {};
  readonly retries = { asked: 0, let_in: 0 };
  untold = 0;

  constructor(cluster: MortalCluster, seconds: number) {
    this.#cluster = cluster;
    this.#until = Date.now() + 1_000 * seconds;
  }

  get isOver(): boolean {
    return Date.now() >= this.#until;
  }

  async busy(key: string): Promise<void> {
    while (!this.isOver) {
      const { status, retryAfter } = await this.#ask(key);
      this.statuses[status] = (this.statuses[status] ?? 0) + 1;
      if (status === 200) continue;
      if (retryAfter === null) this.untold++;
      await sleep(impatienceMs);
    }
  }

  /** Spends a key's minute, comes back when it was told to, and so on. */
  async strict(key: string): Promise<void> {
    for (let told = 0; !this.isOver; ) {
      const { status, retryAfter } = await this.#ask(key);
      if (told > 0) {
        this.retries.asked++;
        if (status !== 429) this.retries.let_in++;
      }
      told = status === 429 ? (retryAfter ?? 0) : 0;
      if (told > 0 && Date.now() + 1_000 * told >= this.#until) return;
      await sleep(1_000 * told);
    }
  }

  async #ask(key: string): Promise<{ status: number | "none"; retryAfter: number | null }> {
    try {
      const seen = await timedStream({ url: this.#cluster.url, key }, "Describe Mars.", tokens);
      if (!expectedStatuses.includes(seen.status)) {
        process.stderr.write(`a request was answered with ${seen.status}: ${seen.refusal}\n`);
      }
      return seen;
    } catch (error) {
      const cause = error instanceof Error && error.cause ? `: ${error.cause}` : "";
      process.stderr.write(`a request came to nothing: ${error}${cause}\n`);
      return { status: "none", retryAfter: 0 };
    }
  }
}

async function quiet(cluster: MortalCluster, key: string, isOver: (count: number) => boolean) {
  const firsts: number[] = [];
  let failed = 0;
  for (let count = 0; !isOver(count); count++) {
    const seen = await timedStream({ url: cluster.url, key }, "Describe Mars.", tokens);
    if (seen.status === 200) firsts.push(seen.firstMs);
    else failed++;
    await sleep(quietPauseMs);
  }
  return { firsts, failed };
}

export async function saturated(sizes: SaturationSizes): Promise<SaturationFigures> {
  const cluster = new MortalCluster("inherit");
  try {
    await cluster.open(["only"], () => worker);
    const quietKey = await cluster.key("quiet");
    const alone = await quiet(cluster, quietKey, (count) => count === aloneCount);
    const busyKeys = [
      await cluster.key("busy-a"),
      await cluster.key("busy-b"),
      await cluster.key("busy-c", { rpm: 60 }),
    ];
    const strictKey = await cluster.key("strict", { rpm: strictRpm });
    const saturation = new Saturation(cluster, sizes.seconds);
    const began = Date.now();
    const memory = { early: 0, late: 0 };
    const watching = setInterval(() => {
      const share = (Date.now() - began) / (1_000 * sizes.seconds);
      const now = cluster.memoryMiB;
      if (share >= 0.2 && share < 0.4) memory.early = Math.max(memory.early, now);
      if (share >= 0.8) memory.late = Math.max(memory.late, now);
    }, 250);
    const beside = quiet(cluster, quietKey, () => saturation.isOver);
    await Promise.all([
      saturation.strict(strictKey),
      ...Array.from({ length: sizes.clients }, (_, at) =>
        saturation.busy(busyKeys[at % busyKeys.length] ?? ""),
      ),
    ]);
    const { firsts, failed } = await beside;
    clearInterval(watching);
    const { statuses, untold, retries } = saturation;
    return {
      ...{ ...sizes, statuses, untold, retries, memory_mib: memory },
      first_text_ms: { alone: p99(alone.firsts), beside: p99(firsts) },
      quiet_failed: failed + alone.failed,
    };
  } finally {
    cluster.close();
  }
}
