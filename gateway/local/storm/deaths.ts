// Requests whose leader, engine, worker and gateway are killed while they run. Clients ask again until they have a whole
// answer, as SDKs do when a connection breaks; those whose answers are random do so with an Idempotency-Key.
import { setTimeout as sleep } from "node:timers/promises";
import { type Asked, ask, ours } from "./asking.ts";
import { MortalCluster } from "./mortal-cluster.ts";

const victims = ["leader", "engine", "worker", "gateway"] as const;
type Victim = (typeof victims)[number];

export interface DeathFigures {
  requests: number;
  kills: Record<Victim, number>;
  /** How often a client had to ask again. */
  retries: number;
  /** Without a whole answer. */
  lost: number;
  /** Answers whose text is not that of the same request when nobody dies. */
  different: number;
  /** Decoded and delivered answers in the usage, beyond one for each that had to be decoded. */
  counted_twice: number;
  /** Requests with an Idempotency-Key that the usage does not have as delivered. */
  uncounted: number;
  seconds: number;
}

/** Equal requests that share one answer, and how many random ones there are. */
const groupSize = 4;
const seeds = 8;
const concurrency = 16;
/** A limit that nobody reaches, so that tokens are reserved and settled. */
const budget = { tokens_per_month: 1e9 };
const maxTries = 100;
const pauseMs = 200;

interface Wanted {
  tenant: "equal" | "random";
  content: string;
  fields: object;
  idempotencyKey?: string;
  /** Its client leaves when the first of its kind dies. */
  isLeader: boolean;
}

/** Half of them equal ones in groups, the others random ones with keys of their own. */
function wantedOf(requests: number): Wanted[] {
  return Array.from({ length: requests }, (_, at): Wanted => {
    const random = Math.floor(at / groupSize) % 2 === 1;
    const fields = {
      max_tokens: 300,
      ...ours({ mode: "serial" }),
      ...(at % 2 && { stream: true }),
    };
    if (random) {
      const seed = at % seeds;
      return {
        ...{ tenant: "random", content: `Describe Mars, ${seed}.`, isLeader: false },
        ...{ fields: { ...fields, temperature: 1, seed }, idempotencyKey: `storm-${at}` },
      };
    }
    const group = Math.floor(at / groupSize);
    return {
      ...{
        tenant: "equal",
        content: `Describe Mercury, ${group}.`,
        isLeader: at % groupSize === 0,
      },
      ...{ fields: { ...fields, temperature: 0 } },
    };
  });
}

const nameOf = ({ content }: Wanted) => content;

class Storm {
  readonly #cluster: MortalCluster;
  readonly #keys: Record<Wanted["tenant"], string>;
  /** The clients that lead an answer now. */
  readonly #leaders = new Set<AbortController>();
  readonly kills: Record<Victim, number> = { leader: 0, engine: 0, worker: 0, gateway: 0 };
  retries = 0;

  constructor(cluster: MortalCluster, keys: Record<Wanted["tenant"], string>) {
    this.#cluster = cluster;
    this.#keys = keys;
  }

  /** Null: it never got one. */
  async answer(wanted: Wanted): Promise<Asked | null> {
    for (let tries = 0; tries < maxTries; tries++) {
      const leaving = new AbortController();
      if (wanted.isLeader) this.#leaders.add(leaving);
      try {
        const { idempotencyKey } = wanted;
        const client = { url: this.#cluster.url, key: this.#keys[wanted.tenant] };
        const answer = await ask(client, wanted.content, wanted.fields, {
          ...{ signal: leaving.signal, ...(idempotencyKey && { idempotencyKey }) },
        });
        if (answer.whole) return answer;
      } catch {
        // The connection broke.
      } finally {
        this.#leaders.delete(leaving);
      }
      this.retries++;
      await sleep(pauseMs);
    }
    return null;
  }

  async kill(victim: Victim): Promise<void> {
    this.kills[victim]++;
    const worker = this.kills[victim] % 2 === 0 ? "first" : "second";
    if (victim === "engine") await this.#cluster.killEngine(worker);
    if (victim === "worker") await this.#cluster.killWorker(worker);
    if (victim === "gateway") await this.#cluster.killGateway();
    if (victim === "leader") for (const leader of this.#leaders) leader.abort();
  }
}

/** `kills` deaths, spread over the answers as they come. */
export async function amongDeaths(requests: number, kills: number): Promise<DeathFigures> {
  const cluster = new MortalCluster();
  try {
    await cluster.open(["first", "second"]);
    const all = wantedOf(requests);
    const calm = new Map<string, string | undefined>();
    const quiet = await cluster.key("quiet");
    for (const wanted of all) {
      if (calm.has(nameOf(wanted))) continue;
      const { content, fields } = wanted;
      const answer = await ask({ url: cluster.url, key: quiet }, content, fields);
      calm.set(nameOf(wanted), answer.whole ? answer.text : undefined);
    }
    const keys = {
      equal: await cluster.key("equal", budget),
      random: await cluster.key("random", budget),
    };
    const storm = new Storm(cluster, keys);
    const began = performance.now();
    const answers: (Asked | null)[] = [];
    let next = 0;
    let killed = 0;
    let killing = Promise.resolve();
    const client = async () => {
      for (let wanted = all[next++]; wanted; wanted = all[next++]) {
        const at = next - 1;
        answers[at] = await storm.answer(wanted);
        const due = Math.floor((next * (kills + 1)) / requests);
        while (killed < Math.min(due, kills)) {
          const victim = victims[killed++ % victims.length] ?? "gateway";
          // One after another, each among requests that run.
          const before = killing;
          killing = before.then(() => storm.kill(victim));
          await before;
        }
      }
    };
    await Promise.all(Array.from({ length: concurrency }, client));
    await killing;
    const seconds = (performance.now() - began) / 1_000;
    return {
      ...{ requests, kills: storm.kills, retries: storm.retries, seconds },
      lost: answers.filter((answer) => answer === null).length,
      different: all.filter((wanted, at) => answers[at]?.text !== calm.get(nameOf(wanted))).length,
      ...(await countsOf(cluster, all)),
    };
  } finally {
    cluster.close();
  }
}

async function countsOf(cluster: MortalCluster, all: readonly Wanted[]) {
  let countedTwice = 0;
  let uncounted = 0;
  for (const tenant of ["equal", "random"] as const) {
    const mine = all.filter((wanted) => wanted.tenant === tenant);
    const decoded = new Set(mine.map((wanted) => wanted.idempotencyKey ?? wanted.content)).size;
    const rows = (await cluster.usage(tenant)).filter(({ status }) => status === 200);
    const sum = (some: typeof rows) => some.reduce((all, { requests }) => all + requests, 0);
    const generations = sum(rows.filter(({ cache }) => cache !== "hit"));
    countedTwice += Math.max(0, generations - decoded);
    const keyed = mine.filter(({ idempotencyKey }) => idempotencyKey !== undefined).length;
    uncounted += Math.max(0, keyed - sum(rows));
  }
  return { counted_twice: countedTwice, uncounted };
}
