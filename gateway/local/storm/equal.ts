// Equal requests at the same time, over several isolates: one of them is decoded.
import { openTestCluster } from "../test-cluster.ts";
import { ask, ours } from "./asking.ts";

export interface EqualFigures {
  requests: number;
  isolates: number;
  /** Answers that the engine decoded. */
  generations: number;
  whole: number;
  texts: number;
  /** In the usage: requests, and those that the cache served. */
  counted: number;
  hits: number;
  seconds: number;
}

/** `requests` at once, every other one streamed. */
export async function equalRequests(requests: number, isolates: number): Promise<EqualFigures> {
  const cluster = await openTestCluster(isolates);
  try {
    await cluster.addWorker("only");
    const client = { url: cluster.url, key: await cluster.key("equal") };
    const fields = { temperature: 0, max_tokens: 200, ...ours({ mode: "serial" }) };
    const began = performance.now();
    const answers = await Promise.all(
      Array.from({ length: requests }, (_, at) =>
        ask(client, "Describe Mercury.", { ...fields, ...(at % 2 === 0 && { stream: true }) }),
      ),
    );
    const seconds = (performance.now() - began) / 1_000;
    const usage = await cluster.usage(client.key);
    return {
      ...{ requests, isolates, seconds },
      generations: (await cluster.answered()).only ?? 0,
      whole: answers.filter(({ whole }) => whole).length,
      texts: new Set(answers.map(({ text }) => text)).size,
      ...{ counted: usage.requests, hits: usage.cache_hits },
    };
  } finally {
    await cluster.close();
  }
}
