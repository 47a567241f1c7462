// The tests inside workerd reach these workers over the network, as a deployed gateway does.
import type { TestProject } from "vitest/node";
import { startFakeWorker } from "./fake-worker.ts";

declare module "vitest" {
  interface ProvidedContext {
    fakeWorkers: { url: string; credential: string }[];
  }
}

export default async function setUp(project: TestProject): Promise<() => Promise<void>> {
  const workers = await Promise.all([startFakeWorker(), startFakeWorker()]);
  project.provide(
    "fakeWorkers",
    workers.map(({ url, credential }) => ({ url, credential })),
  );
  return async () => {
    await Promise.all(workers.map((worker) => worker.close()));
  };
}
