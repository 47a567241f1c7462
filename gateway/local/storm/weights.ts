// Tenants of different weights who both want more than a worker can give: what each gets of it.
import { setTimeout as sleep } from "node:timers/promises";
import { MortalCluster } from "./mortal-cluster.ts";
import { timedStream } from "./streams.ts";

export interface WeightFigures {
  seconds: number;
  /** Whole answers of one length, by tenant. */
  tenants: { weight: number; answers: number; of_fair: number }[];
}

const worker = ["--max-running", "8", "--max-queue", "48"];
const weights = [1, 3] as const;
/** So many that the worker is what lacks: of short answers a gateway opens fewer a second than it decodes. */
const tokens = 300;
/** Of each tenant: more than the worker lets wait. */
const clients = 40;
/** Until both have all their clients waiting. */
const warmUpSeconds = 3;
const impatienceMs = 50;

/** What each has of its fair part; 1: exactly that. */
export function partsOf(answers: readonly { weight: number; answers: number }[]) {
  const all = (of: (each: (typeof answers)[number]) => number) =>
    answers.reduce((sum, each) => sum + of(each), 0);
  const total = all((each) => each.answers);
  const weight = all((each) => each.weight);
  return answers.map((each) => ({
    ...each,
    of_fair: each.answers / ((total * each.weight) / weight),
  }));
}

/** Counts what ends in so many `seconds`. */
export async function underWeights(seconds: number): Promise<WeightFigures> {
  const cluster = new MortalCluster("inherit");
  try {
    await cluster.open(["only"], () => worker);
    const tenants = weights.map((weight) => ({ weight, answers: 0, name: `weight-${weight}` }));
    const from = Date.now() + 1_000 * warmUpSeconds;
    const until = from + 1_000 * seconds;
    const ask = async (tenant: (typeof tenants)[number], key: string) => {
      while (Date.now() < until) {
        const { status } = await timedStream({ url: cluster.url, key }, "Describe Mars.", tokens);
        const now = Date.now();
        if (status !== 200) await sleep(impatienceMs);
        else if (now >= from && now < until) tenant.answers++;
      }
    };
    const keys = await Promise.all(
      tenants.map(async ({ name, weight }) => {
        const key = await cluster.key(name);
        await cluster.weigh(name, weight);
        return key;
      }),
    );
    await Promise.all(
      tenants.flatMap((tenant, at) =>
        Array.from({ length: clients }, () => ask(tenant, keys[at] ?? "")),
      ),
    );
    const counted = tenants.map(({ weight, answers }) => ({ weight, answers }));
    return { seconds, tenants: partsOf(counted) };
  } finally {
    cluster.close();
  }
}
