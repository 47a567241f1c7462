// Limits and budgets under many requests at the same time, over several isolates, and what is left when half of the
// clients have gone.
import { setTimeout as sleep } from "node:timers/promises";
import { type KeyLimits, openTestCluster, type TestCluster } from "../test-cluster.ts";
import { type Asked, ask, ours } from "./asking.ts";

const fields = {
  temperature: 1,
  max_tokens: 80,
  ...ours({ mode: "serial", cache: "bypass" }),
};

export interface LimitFigures {
  /** The field of the key that is tried. */
  limit: keyof KeyLimits;
  most: number;
  requests: number;
  answered: number;
  /** Refused with 429. */
  refused: number;
  /** Others; 0 if all is well. */
  failed: number;
  /** What was used of the limit: requests, tokens, or requests that the worker had at once. */
  used: number;
  /** `used` beyond `most`. */
  overshoot: number;
}

interface Seen {
  answers: Asked[];
  /** The most requests that the worker had at once. */
  atOnce: number;
}

/** `requests` at once, beside which the worker is asked how many it has. */
async function flood(cluster: TestCluster, key: string, requests: number): Promise<Seen> {
  const client = { url: cluster.url, key };
  const [worker] = await cluster.pool();
  let running = true;
  let atOnce = 0;
  const watching = (async () => {
    while (running) {
      const metrics = await (await fetch(`${worker?.url}/metrics`)).text();
      const counts = metrics.matchAll(/^anabranch_requests_(?:running|queued)\{.*\} (\d+)$/gm);
      const now = [...counts].reduce((sum, [, count]) => sum + Number(count), 0);
      atOnce = Math.max(atOnce, now);
      await sleep(1);
    }
  })();
  const answers = await Promise.all(
    Array.from({ length: requests }, (_, at) =>
      ask(client, `Describe Mercury, ${at}.`, { ...fields, stream: true }),
    ),
  );
  running = false;
  await watching;
  return { answers, atOnce };
}

export async function underLimits(
  requests: number,
  isolates: number,
  limits: readonly KeyLimits[],
): Promise<LimitFigures[]> {
  const cluster = await openTestCluster(isolates);
  const all: LimitFigures[] = [];
  try {
    await cluster.addWorker("only");
    for (const [at, limit] of limits.entries()) {
      const [[name, most] = []] = Object.entries(limit) as [keyof KeyLimits, number][];
      if (name === undefined || most === undefined) throw new Error("no limit is named");
      const key = await cluster.key(`limit-${at}`, limit);
      const { answers, atOnce } = await flood(cluster, key, requests);
      const whole = answers.filter((answer) => answer.whole);
      const refused = answers.filter(({ status }) => status === 429).length;
      const tokens = whole.reduce((sum, answer) => sum + answer.tokens, 0);
      const used = {
        rpm: whole.length,
        tpm: tokens,
        tokens_per_month: tokens,
        max_concurrent: atOnce,
      }[name];
      all.push({
        ...{ limit: name, most, requests, answered: whole.length, refused, used },
        failed: requests - whole.length - refused,
        overshoot: Math.max(0, used - most),
      });
    }
    return all;
  } finally {
    await cluster.close();
  }
}

export interface AbortFigures {
  requests: number;
  aborted: number;
  /** Clients whose answer had begun: each is in the usage. Others may have left before they were heard. */
  begun: number;
  /** Tokens by the usage rows, and by the tenant's month: the same. */
  usage_tokens: number;
  month_tokens: number;
  /** Requests by the usage, aborted ones included. */
  usage_requests: number;
  /** How many are let in at once afterwards: as many as the limit says. */
  at_once_after: number;
}

/**
 * Every other client leaves, within its answer or while it waits for one; then as many as may be at once are asked
 * again.
 */
export async function afterAborts(requests: number, isolates: number): Promise<AbortFigures> {
  const cluster = await openTestCluster(isolates);
  try {
    await cluster.addWorker("only");
    const tenant = "aborting";
    const key = await cluster.key(tenant, { max_concurrent: requests, tokens_per_month: 1e9 });
    const client = { url: cluster.url, key };
    let aborted = 0;
    let begun = 0;
    await Promise.all(
      Array.from({ length: requests }, async (_, at) => {
        const leaving = new AbortController();
        const leave = () => setTimeout(() => leaving.abort(), at);
        const onHead = () => {
          begun++;
          if (at % 4 === 0) leave();
        };
        if (at % 4 === 2) leave();
        const init = { signal: leaving.signal, onHead };
        await ask(client, `Describe Mercury, ${at}.`, { ...fields, stream: true }, init).catch(
          () => aborted++,
        );
      }),
    );
    const month = async () =>
      (await cluster.admin<{ month: { tokens: number } }>(`/tenants/${tenant}`)).month.tokens;
    const counted = async () => {
      const { rows } = await cluster.admin<{ rows: Record<string, number>[] }>(
        `/usage?tenant=${tenant}`,
      );
      const [row = {}] = rows;
      const { requests = 0, prompt_tokens = 0, completion_tokens = 0 } = row;
      return { requests, tokens: prompt_tokens + completion_tokens };
    };
    // A row is written when its request has ended, which for one that was left is a moment later.
    for (const until = Date.now() + 20_000; Date.now() < until; await sleep(50)) {
      const { requests: rows, tokens } = await counted();
      if (rows >= begun && tokens === (await month()) && (await cluster.inEngines()) === 0) break;
    }
    const { tokens, requests: rows } = await counted();
    const monthTokens = await month();
    const again = await Promise.all(
      Array.from({ length: requests }, (_, at) => ask(client, `Again, ${at}.`, fields)),
    );
    return {
      ...{ requests, aborted, begun, usage_tokens: tokens, month_tokens: monthTokens },
      usage_requests: rows,
      at_once_after: again.filter(({ whole }) => whole).length,
    };
  } finally {
    await cluster.close();
  }
}
