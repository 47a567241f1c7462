// Who runs next on a full worker: tenants take turns, and so do the keys of a tenant. The engine gets no more
// requests than it runs at once and a few to go on with; the others wait here.
import { Code, ConnectError } from "@connectrpc/connect";
import { RETRY_AFTER } from "./grpc.ts";

export interface Claim {
  tenant: string;
  key: string;
  /** Higher goes first, whoever asks, but for the turns of the one that waits longest. */
  priority: number;
  /** How many of the engine's requests it is: one, or one for each declared branch. */
  size: number;
}

/** What a tenant, or a key of it, has of the worker. */
interface Share {
  name: string;
  running: number;
  waiting: number;
  /** The number of its last start; 0: none. */
  lastStart: number;
}

/** Less than 0: `a` has had less, and is first. */
const compareShares = (a: Share, b: Share) => a.running - b.running || a.lastStart - b.lastStart;

/** A request that wants to run. */
class Entry {
  readonly claim: Claim;
  readonly shares: readonly [tenant: Share, key: Share];
  readonly started: Promise<() => void>;
  resolve!: (end: () => void) => void;
  reject!: (error: Error) => void;

  constructor(claim: Claim, tenant: Share, key: Share) {
    this.claim = claim;
    this.shares = [tenant, key];
    this.started = new Promise((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
    });
  }

  count(what: "running" | "waiting", by: number): void {
    for (const share of this.shares) share[what] += by;
  }

  /** Of one priority. Of two that are alike, the one that came first is. */
  isBefore({ shares }: Entry): boolean {
    const [tenant, key] = this.shares;
    return (compareShares(tenant, shares[0]) || compareShares(key, shares[1])) < 0;
  }
}

/** Of the places to wait in, one tenant gets at most so many. */
const tenantShare = 0.75;
/** One start in so many is of the priority of the request that waits longest, so that none waits for ever. */
const turnOfOldest = 8;
/** How much a new measurement counts in the mean time between two ends. */
const newest = 0.1;

export class FairQueue {
  readonly #slots: number;
  readonly #places: number;
  /** By tenant, and by tenant and key. Only of those that run or wait. */
  readonly #shares = new Map<string, Share>();
  readonly #waiting: Entry[] = [];
  #running = 0;
  #starts = 0;
  /** Mean time between two ends while others wait. */
  #msBetweenEnds: number | null = null;
  #lastEnd = 0;

  /** At most `maxRunning` run at once, and about `maxQueue` wait. */
  constructor(maxRunning: number, maxQueue: number) {
    // The engine's next requests are with it already when one of its requests ends.
    const ahead = Math.ceil(maxRunning / 8);
    this.#slots = maxRunning + ahead;
    this.#places = Math.max(0, maxQueue - ahead);
  }

  /** Requests that wait here. */
  get waiting(): number {
    return this.#waiting.length;
  }

  /**
   * Resolves when `claim` may run, with what is to be called at its end.
   * @throws ConnectError if there is no place left to wait in, with the seconds after which one is expected, or if
   * `signal` is aborted
   */
  async enter(claim: Claim, signal: AbortSignal): Promise<() => void> {
    signal.throwIfAborted();
    const entry = new Entry(
      claim,
      this.#share([claim.tenant]),
      this.#share([claim.tenant, claim.key]),
    );
    if (this.#running < this.#slots && this.#waiting.length === 0) return this.#start(entry);
    this.#refuseIfFull(entry);
    if (this.#waiting.length === 0) this.#lastEnd = performance.now();
    this.#waiting.push(entry);
    entry.count("waiting", 1);
    const leave = () => {
      this.#leave(entry);
      entry.reject(new ConnectError("the caller left", Code.Canceled));
    };
    signal.addEventListener("abort", leave, { once: true });
    return await entry.started.finally(() => signal.removeEventListener("abort", leave));
  }

  #share(names: readonly string[]): Share {
    const name = JSON.stringify(names);
    const share = this.#shares.get(name) ?? { name, running: 0, waiting: 0, lastStart: 0 };
    this.#shares.set(name, share);
    return share;
  }

  /** Returns what ends it. */
  #start(entry: Entry): () => void {
    const { size } = entry.claim;
    this.#running += size;
    entry.count("running", size);
    this.#starts++;
    for (const share of entry.shares) share.lastStart = this.#starts;
    let ended = false;
    return () => {
      if (ended) return;
      ended = true;
      this.#running -= size;
      entry.count("running", -size);
      this.#forgetIdle(entry);
      this.#measure(size);
      while (this.#running < this.#slots) {
        const next = this.#next();
        if (!next) return;
        this.#leave(next);
        next.resolve(this.#start(next));
      }
    };
  }

  /** Whose turn it is. */
  #next(): Entry | undefined {
    const priorities = this.#waiting.map(({ claim }) => claim.priority);
    const priority =
      this.#starts % turnOfOldest === 0
        ? priorities[0]
        : priorities.reduce((a, b) => Math.max(a, b), -Infinity);
    let best: Entry | undefined;
    for (const each of this.#waiting) {
      if (each.claim.priority === priority && (!best || each.isBefore(best))) best = each;
    }
    return best;
  }

  #leave(entry: Entry): void {
    const at = this.#waiting.indexOf(entry);
    if (at < 0) return;
    this.#waiting.splice(at, 1);
    entry.count("waiting", -1);
    this.#forgetIdle(entry);
  }

  #forgetIdle({ shares }: Entry): void {
    for (const { name, running, waiting } of shares) {
      if (running === 0 && waiting === 0) this.#shares.delete(name);
    }
  }

  #measure(size: number): void {
    if (this.#waiting.length === 0) return;
    const now = performance.now();
    const each = (now - this.#lastEnd) / size;
    this.#lastEnd = now;
    this.#msBetweenEnds =
      this.#msBetweenEnds === null ? each : (1 - newest) * this.#msBetweenEnds + newest * each;
  }

  #refuseIfFull(entry: Entry): void {
    const [tenant] = entry.shares;
    const all = this.#waiting.length;
    const most = Math.ceil(tenantShare * this.#places);
    if (all < this.#places && tenant.waiting < most) return;
    this.#forgetIdle(entry);
    // Tenants that wait take turns: behind its own requests stand as many of each other one.
    const tenants = new Set(this.#waiting.map(({ claim }) => claim.tenant)).add(entry.claim.tenant);
    const before = Math.min(all, tenant.waiting * tenants.size) + 1;
    const seconds = Math.max(1, Math.ceil((before * (this.#msBetweenEnds ?? 0)) / 1_000));
    throw new ConnectError("the queue is full", Code.ResourceExhausted, {
      [RETRY_AFTER]: String(seconds),
    });
  }
}
