// What the client's tests run against, wherever they run: the library as it is published, a real gateway with a worker,
// and a way to it on which connections fail.
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { openTestCluster } from "@anabranch/gateway/local/test-cluster.ts";
import type { TestProject } from "vitest/node";
import { openFaultyWay } from "./faulty-way.ts";

const tenants = 24;

export default async function setUp(project: TestProject): Promise<() => Promise<void>> {
  // In a process of its own: here modules are those of the runtime under test.
  execFileSync(process.execPath, [join(import.meta.dirname, "../scripts/build.ts")]);
  const cluster = await openTestCluster(1, { ANABRANCH_CORS_ORIGINS: "*" });
  await cluster.addWorker("client");
  const way = await openFaultyWay(cluster.url, async () => {
    const answered = Object.values(await cluster.answered());
    return answered.reduce((sum, each) => sum + each, 0);
  });
  const keys = await Promise.all(
    Array.from({ length: tenants }, (_, index) => cluster.key(`client-${index}`)),
  );
  project.provide("gateway", cluster.url);
  project.provide("faulty", way.url);
  project.provide("keys", keys);
  return async () => {
    await way.close();
    await cluster.close();
  };
}
