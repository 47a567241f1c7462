// Who runs next on a full worker: the tenant whose requests had the least time by its weight, and of its keys the one
// that had the least. The engine gets no more requests than it runs at once, or one to go on with; the others wait here.
import { Code, ConnectError } from "@connectrpc/connect";
import { RETRY_AFTER } from "./grpc.ts";

export interface Claim {
  tenant: string;
  key: string;
  /** Of a tenant with twice the weight, twice as much runs where both wait. */
  weight: number;
  /** Higher goes first, whoever asks, but for the turns of the one that waits longest. */
  priority: number;
  /** How many of the engine's requests it is: one, or one for each declared branch. */
  size: number;
}

/** What a tenant, or a key of it, has of the worker. */
class Share {
  readonly name: string;
  weight = 1;
  running = 0;
  waiting = 0;
  /** The number of its last start; 0: none. */
  lastStart = 0;
  /** Of a tenant: what its keys have. */
  readonly keys = new Shares();
  /** Time that its requests have run, over its weight, until `#countedTo`. */
  #used = 0;
  #countedTo = 0;

  constructor(name: string) {
    this.name = name;
  }

  /** What it had until `now`, in ms over its weight. */
  used(now: number): number {
    this.#used += (this.running * (now - this.#countedTo)) / this.weight;
    this.#countedTo = now;
    return this.#used;
  }

  /** Time in which it wanted nothing gives it no claim. */
  raiseTo(used: number, now: number): void {
    this.#used = Math.max(this.used(now), used);
  }

  run(by: number, now: number): void {
    this.used(now);
    this.running += by;
  }
}

/** Shares of which each may be the next, by name. Only of those that run or wait. */
class Shares {
  readonly #byName = new Map<string, Share>();
  /** What the one that started last had, or another before. */
  #reached = 0;

  enter(name: string, now: number): Share {
    const share = this.#byName.get(name) ?? new Share(name);
    this.#byName.set(name, share);
    if (share.waiting === 0) share.raiseTo(this.#reached, now);
    return share;
  }

  start(share: Share, number: number, size: number, now: number): void {
    this.#reached = Math.max(this.#reached, share.used(now));
    share.lastStart = number;
    share.run(size, now);
  }

  forgetIdle(share: Share): void {
    if (share.running === 0 && share.waiting === 0) this.#byName.delete(share.name);
  }
}

/** Less than 0: `a` has had less, and is first. */
const compareShares = (a: Share, b: Share, now: number) =>
  a.used(now) - b.used(now) ||
  a.running / a.weight - b.running / b.weight ||
  a.lastStart - b.lastStart;

/** A request that wants to run. */
class Entry {
  readonly claim: Claim;
  readonly tenant: Share;
  readonly key: Share;
  readonly started: Promise<() => void>;
  resolve!: (end: () => void) => void;
  reject!: (error: Error) => void;

  constructor(claim: Claim, tenant: Share, key: Share) {
    this.claim = claim;
    this.tenant = tenant;
    this.key = key;
    this.started = new Promise((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
    });
  }

  wait(by: number): void {
    this.tenant.waiting += by;
    this.key.waiting += by;
  }

  /** Of one priority. Of two that are alike, the one that came first is. */
  isBefore({ tenant, key }: Entry, now: number): boolean {
    if (tenant === this.tenant) return compareShares(this.key, key, now) < 0;
    return compareShares(this.tenant, tenant, now) < 0;
  }
}

/** Of the places to wait in, one tenant gets at most so many. */
const tenantShare = 0.75;
/** One start in so many is of the priority of the request that waits longest, so that none waits for ever. */
const turnOfOldest = 8;
/** So much more may run, of tenants of whom nothing else runs: none waits for the end of others' long answers. */
const besideShare = 1 / 8;
const besideOf = (maxRunning: number): number => Math.floor(besideShare * maxRunning);

/** How many requests the engine must be able to run for a queue of `maxRunning`. */
export const mostRunning = (maxRunning: number): number => maxRunning + besideOf(maxRunning);

/** How much a new measurement counts in the mean time between two ends. */
const newest = 0.1;

export class FairQueue {
  /** Requests of one tenant that run at once. */
  readonly maxRunning: number;
  /** What runs at most before a request starts: of a tenant of whom something runs, and of another. */
  readonly #slots: { more: number; first: number };
  readonly #places: number;
  readonly #now: () => number;
  readonly #tenants = new Shares();
  readonly #waiting: Entry[] = [];
  #running = 0;
  #starts = 0;
  /** Mean time between two ends while others wait. */
  #msBetweenEnds: number | null = null;
  #lastEnd = 0;

  /** At most `maxRunning` run at once, and an eighth more; about `maxQueue` wait. `now` gives ms. */
  constructor(maxRunning: number, maxQueue: number, now = () => performance.now()) {
    this.#now = now;
    this.maxRunning = maxRunning;
    // Where few run, the next request is with the engine already when one of them ends.
    const ahead = besideOf(maxRunning) > 0 ? 0 : 1;
    this.#slots = { more: maxRunning + ahead, first: mostRunning(maxRunning) + ahead };
    this.#places = Math.max(0, maxQueue - ahead);
  }

  /** Of requests, while others waited; 0: not measured. */
  get msBetweenEnds(): number {
    return this.#msBetweenEnds ?? 0;
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
    const now = this.#now();
    const tenant = this.#tenants.enter(claim.tenant, now);
    tenant.weight = claim.weight;
    const entry = new Entry(claim, tenant, tenant.keys.enter(claim.key, now));
    const isFirst = this.#waiting.every((other) => entry.isBefore(other, now));
    if (isFirst && this.#mayStart(entry)) return this.#start(entry);
    this.#refuseIfFull(entry);
    if (this.#waiting.length === 0) this.#lastEnd = now;
    this.#waiting.push(entry);
    entry.wait(1);
    const leave = () => {
      this.#leave(entry);
      entry.reject(new ConnectError("the caller left", Code.Canceled));
    };
    signal.addEventListener("abort", leave, { once: true });
    return await entry.started.finally(() => signal.removeEventListener("abort", leave));
  }

  #mayStart({ tenant }: Entry): boolean {
    return this.#running < (tenant.running > 0 ? this.#slots.more : this.#slots.first);
  }

  /** Returns what ends it. */
  #start(entry: Entry): () => void {
    const { size } = entry.claim;
    const { tenant, key } = entry;
    const now = this.#now();
    this.#running += size;
    this.#starts++;
    this.#tenants.start(tenant, this.#starts, size, now);
    tenant.keys.start(key, this.#starts, size, now);
    let ended = false;
    return () => {
      if (ended) return;
      ended = true;
      this.#running -= size;
      const end = this.#now();
      tenant.run(-size, end);
      key.run(-size, end);
      this.#forgetIdle(entry);
      this.#measure(size, end);
      for (let next = this.#next(end); next; next = this.#next(end)) {
        // Started before it leaves the queue: between the two it would be idle, and forgotten.
        const stop = this.#start(next);
        this.#leave(next);
        next.resolve(stop);
      }
    };
  }

  /** Whose turn it is, if anybody may start. */
  #next(now: number): Entry | undefined {
    const priorities = this.#waiting.map(({ claim }) => claim.priority);
    const priority =
      this.#starts % turnOfOldest === 0
        ? priorities[0]
        : priorities.reduce((a, b) => Math.max(a, b), -Infinity);
    let best: Entry | undefined;
    for (const each of this.#waiting) {
      if (each.claim.priority === priority && (!best || each.isBefore(best, now))) best = each;
    }
    return best && this.#mayStart(best) ? best : undefined;
  }

  #leave(entry: Entry): void {
    const at = this.#waiting.indexOf(entry);
    if (at < 0) return;
    this.#waiting.splice(at, 1);
    entry.wait(-1);
    this.#forgetIdle(entry);
  }

  #forgetIdle({ tenant, key }: Entry): void {
    tenant.keys.forgetIdle(key);
    this.#tenants.forgetIdle(tenant);
  }

  #measure(size: number, now: number): void {
    if (this.#waiting.length === 0) return;
    const each = (now - this.#lastEnd) / size;
    this.#lastEnd = now;
    this.#msBetweenEnds =
      this.#msBetweenEnds === null ? each : (1 - newest) * this.#msBetweenEnds + newest * each;
  }

  #refuseIfFull(entry: Entry): void {
    const { tenant } = entry;
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
