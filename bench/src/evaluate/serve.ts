// Answers of both sides, made by the real server: the gateway and a worker for each model, over HTTP.
import { openTestCluster, type TestCluster } from "@anabranch/gateway/local/test-cluster.ts";
import { locateModel } from "@anabranch/gpu-worker/model/locate.ts";
import { RunProgress } from "@anabranch/shared/cli/run-progress.ts";
import { ChatClient } from "../chat-client.ts";
import { say } from "../report.ts";
import type { AnswerSettings, Pair, PairFile, Question, Side, SideSettings } from "./pairs.ts";

export interface ServeOptions extends AnswerSettings {
  dtype: string;
  device: string;
  threads: number;
  /** Questions that are asked at once. */
  concurrency: number;
}

/** The name of a side's adapter in the pool: `MODEL:NAME`. */
const adapterName = "taught";

/** A worker for each model; one for both sides if they differ in nothing but their mode. */
async function startWorkers(
  cluster: TestCluster,
  { sides, dtype, device, threads, thresholds = [] }: ServeOptions,
): Promise<Record<Side, string>> {
  const ids = new Map<string, string>();
  const serve = async (side: Side, { model, adapter }: SideSettings) => {
    const { path } = await locateModel(model);
    const key = JSON.stringify([path, adapter]);
    const served = ids.get(key);
    if (served !== undefined) return served;
    say(`loading ${model}${adapter === undefined ? "" : ` with ${adapter}`}`);
    await cluster.addWorker(side, [
      ...["--model", path, "--model-id", side, "--dtype", dtype, "--device", device],
      ...["--threads", String(threads), ...thresholds],
      ...(adapter === undefined ? [] : ["--adapter", `${adapterName}=${adapter}`]),
    ]);
    const id = adapter === undefined ? side : `${side}:${adapterName}`;
    ids.set(key, id);
    return id;
  };
  return {
    model: await serve("model", sides.model),
    against: await serve("against", sides.against),
  };
}

/**
 * Asks both sides each question, one directly after the other: first `model`, at the next question first
 * `against`. So whatever slows the machine for a while slows both. Each side is a tenant of its own, because
 * tenants share no prefix cache: no side finds a prompt that the other has just prefilled.
 */
async function askAll(
  clients: Record<Side, ChatClient>,
  questions: readonly Question[],
  concurrency: number,
  file: PairFile,
): Promise<Pair[]> {
  const pairs: Pair[] = [];
  const progress = new RunProgress(questions.length, "pairs");
  const queue = questions.entries();
  const worker = async () => {
    for (const [i, question] of queue) {
      const ask = (side: Side) => clients[side].ask(question.prompt);
      const first = i % 2 === 0 ? await ask("model") : undefined;
      const against = await ask("against");
      const pair = { question, answers: { model: first ?? (await ask("model")), against } };
      await file.add(pair);
      pairs.push(pair);
      progress.step();
    }
  };
  await Promise.all(Array.from({ length: concurrency }, worker));
  return pairs;
}

/** @throws Error if a model can't be served or a request fails */
export async function answerPairs(
  questions: readonly Question[],
  options: ServeOptions,
  file: PairFile,
): Promise<Pair[]> {
  if (questions.length === 0) return [];
  say("starting the gateway");
  const cluster = await openTestCluster();
  try {
    const ids = await startWorkers(cluster, options);
    const { sides, temperature, maxTokens, seed, concurrency } = options;
    const client = async (side: Side) => {
      const key = await cluster.key(side);
      const asking = { model: ids[side], mode: sides[side].mode, temperature, seed };
      // The first answer of a process is slower than all others.
      await new ChatClient(cluster.url, key, { ...asking, maxTokens: 8 }).ask("Hello");
      return new ChatClient(cluster.url, key, { ...asking, maxTokens });
    };
    const clients = { model: await client("model"), against: await client("against") };
    return await askAll(clients, questions, concurrency, file);
  } finally {
    await cluster.close();
  }
}
