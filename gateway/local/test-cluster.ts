// The whole system, for tests and benchmarks: the gateway on workerd and real workers, each in its own
// process, all on free ports.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { root } from "./bundle.ts";
import { type LocalGateway, serve } from "./serve.ts";

export interface PoolRow {
  id: string;
  url: string;
  healthy: boolean;
  draining: boolean;
  kv: { free: number; total: number };
}

/** As the admin API takes them. */
export interface KeyLimits {
  rpm?: number;
  tpm?: number;
  max_concurrent?: number;
  tokens_per_month?: number;
}

export interface TestCluster {
  url: string;
  /** The operator's credential. */
  adminToken: string;
  /** A worker with the demo model on one thread; `options` go to it as they are. */
  addWorker(id: string, options?: readonly string[]): Promise<ChildProcess>;
  key(tenant: string, limits?: KeyLimits): Promise<string>;
  pool(): Promise<PoolRow[]>;
  /** How many answers have ended on each healthy worker, by its id. */
  answered(): Promise<Record<string, number>>;
  /** The healthy workers that run a request, by their own metrics: the pool hears of it later. */
  busy(): Promise<string[]>;
  /** Requests in all healthy workers, running or queued. */
  inEngines(): Promise<number>;
  usage(key: string): Promise<Totals>;
  /** GET of the admin API; `path` is what follows /admin/v1. */
  admin<T>(path: string): Promise<T>;
  close(): Promise<void>;
}

export interface Totals {
  requests: number;
  prompt_tokens: number;
  completion_tokens: number;
  steps: number;
  branches: number;
  cache_hits: number;
  incomplete: { requests: number; completion_tokens: number };
}

/** `isolates`: how many serve, each with what it knows by itself. `variables`: of the gateway, as in wrangler.toml. */
export async function openTestCluster(
  isolates = 1,
  variables: Record<string, string> = {},
): Promise<TestCluster> {
  const state = mkdtempSync(join(tmpdir(), "anabranch-e2e-"));
  const gateway: LocalGateway = await serve({
    ...{ port: 0, state, accessLog: false, isolates, variables },
  });
  const workers: ChildProcess[] = [];
  // Miniflare ends the process on a signal, before anyone can close the cluster.
  const abandon = () => {
    for (const child of workers) child.kill("SIGTERM");
    rmSync(state, { recursive: true, force: true });
  };
  process.once("exit", abandon);
  const { ANABRANCH_ADMIN_TOKEN: admin, ANABRANCH_POOL_TOKEN } = gateway.secrets;

  async function call<T>(path: string, credential: string, init: RequestInit = {}): Promise<T> {
    const headers = { authorization: `Bearer ${credential}` };
    const response = await fetch(`${gateway.url}${path}`, { ...init, headers });
    if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
    return (await response.json()) as T;
  }

  const pool = async () => (await call<{ workers: PoolRow[] }>("/admin/v1/pool", admin)).workers;

  /** One metric of each worker that answers, summed over its labels. */
  async function metric(name: string): Promise<Record<string, number>> {
    const sums: Record<string, number> = {};
    const read = async ({ id, url }: PoolRow) => {
      const metrics = await (await fetch(`${url}/metrics`)).text();
      const values = metrics.matchAll(new RegExp(`^${name}(?:\\{.*\\})? (\\d+)$`, "gm"));
      sums[id] = [...values].reduce((sum, [, value]) => sum + Number(value), 0);
    };
    // The pool calls a worker healthy for a moment after it was killed.
    await Promise.allSettled((await pool()).filter(({ healthy }) => healthy).map(read));
    return sums;
  }

  return {
    url: gateway.url,
    adminToken: admin,
    pool,
    async addWorker(id, options = ["--model", "models/small", "--threads", "1"]) {
      const main = join(root, "gpu-worker/src/main.ts");
      const child = spawn(
        process.execPath,
        [main, "--gateway", gateway.url, "--id", id, ...options],
        {
          cwd: root,
          stdio: ["ignore", "ignore", "inherit"],
          env: { ...process.env, ANABRANCH_POOL_TOKEN },
        },
      );
      workers.push(child);
      while (!(await pool()).some((row) => row.id === id && row.healthy)) {
        if (child.exitCode !== null) throw new Error(`worker ${id} ended with ${child.exitCode}`);
        await sleep(50);
      }
      return child;
    },
    async key(tenant, limits = {}) {
      const init = { method: "POST", body: JSON.stringify({ tenant, ...limits }) };
      return (await call<{ key: string }>("/admin/v1/keys", admin, init)).key;
    },
    answered: () => metric("anabranch_answers_total"),
    async busy() {
      const running = Object.entries(await metric("anabranch_requests_running"));
      return running.filter(([, count]) => count > 0).map(([id]) => id);
    },
    async inEngines() {
      const names = ["anabranch_requests_running", "anabranch_requests_queued"];
      const counts = (await Promise.all(names.map(metric))).flatMap(Object.values<number>);
      return counts.reduce((sum, count) => sum + count, 0);
    },
    admin: (path) => call(`/admin/v1${path}`, admin),
    async usage(key) {
      return (await call<{ totals: Totals }>("/v1/usage?by=hour", key)).totals;
    },
    async close() {
      for (const child of workers) {
        if (child.exitCode !== null || child.signalCode !== null) continue;
        child.kill("SIGTERM");
        await once(child, "exit");
      }
      await gateway.close();
      process.off("exit", abandon);
      rmSync(state, { recursive: true, force: true });
    },
  };
}
