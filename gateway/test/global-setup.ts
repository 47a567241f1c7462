// The tests inside workerd reach these workers over the network, as a deployed gateway does.
import type { TestProject } from "vitest/node";
import { startFakeUpstream } from "./fake-upstream.ts";
import { startFakeWorker } from "./fake-worker.ts";

declare module "vitest" {
  interface ProvidedContext {
    fakeWorkers: { url: string; credential: string }[];
    fakeUpstream: { url: string; credential: string };
  }
}

export default async function setUp(project: TestProject): Promise<() => Promise<void>> {
  const workers = await Promise.all([startFakeWorker(), startFakeWorker()]);
  const upstream = await startFakeUpstream();
  project.provide("fakeUpstream", { url: upstream.url, credential: upstream.credential });
  project.provide(
    "fakeWorkers",
    workers.map(({ url, credential }) => ({ url, credential })),
  );
  return async () => {
    await Promise.all([...workers, upstream].map((server) => server.close()));
  };
}
