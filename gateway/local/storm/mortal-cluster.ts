// A gateway and two workers, each a process that may be killed; the next one takes its place.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { childProcesses, residentMiB } from "@anabranch/shared/child-processes.ts";
import { root } from "../bundle.ts";
import { secrets } from "../secrets.ts";
import type { KeyLimits } from "../test-cluster.ts";

/** Requests that ended so. */
export interface Ended {
  status: number;
  cache: string;
  requests: number;
}

export class MortalCluster {
  readonly #state = mkdtempSync(join(tmpdir(), "anabranch-storm-"));
  readonly #secrets = secrets(join(this.#state, "secrets.json"));
  readonly #children = new Set<ChildProcess>();
  readonly #workers = new Map<string, ChildProcess>();
  #options: readonly string[] = [];
  #gateway: ChildProcess | null = null;
  #url = "";

  get url(): string {
    return this.#url;
  }

  /** Starts a gateway and workers with these names; `options` go to the workers as they are. */
  async open(workers: readonly string[], options: readonly string[] = []): Promise<void> {
    this.#options = options;
    await this.#startGateway("0");
    for (const id of workers) this.#startWorker(id);
    await this.#served(workers.length);
  }

  /** Of the gateway and its workerd, MiB. */
  get memoryMiB(): number {
    return residentMiB(this.#gateway?.pid ?? 0);
  }

  /** All processes, those that they started included: the same as before if nobody has restarted. */
  get processes(): number[] {
    const roots = [...this.#children].flatMap(({ pid }) => pid ?? []);
    return [...roots, ...roots.flatMap(childProcesses)].sort();
  }

  async killGateway(): Promise<void> {
    const { port } = new URL(this.#url);
    await this.#kill(this.#gateway);
    await this.#startGateway(port);
    await this.#served(1);
  }

  async killWorker(id: string): Promise<void> {
    await this.#kill(this.#workers.get(id) ?? null);
    this.#startWorker(id);
    await this.#served(2);
  }

  /** Its worker starts another one. */
  async killEngine(id: string): Promise<void> {
    const [engine] = childProcesses(this.#workers.get(id)?.pid ?? 0);
    if (engine !== undefined) process.kill(engine, "SIGKILL");
    await this.#served(1);
  }

  async key(tenant: string, limits: KeyLimits = {}): Promise<string> {
    const body = JSON.stringify({ tenant, ...limits });
    return (await this.#admin<{ key: string }>("/keys", { method: "POST", body })).key;
  }

  async usage(tenant: string): Promise<Ended[]> {
    const path = `/usage?tenant=${tenant}&by=status,cache`;
    const { rows } = await this.#admin<{ rows: (Ended & { status: number | string })[] }>(path);
    return rows.map((row) => ({ ...row, status: Number(row.status) }));
  }

  close(): void {
    for (const child of this.#children) child.kill("SIGKILL");
    rmSync(this.#state, { recursive: true, force: true, maxRetries: 10 });
  }

  async #admin<T>(path: string, init: RequestInit = {}): Promise<T> {
    const headers = { authorization: `Bearer ${this.#secrets.ANABRANCH_ADMIN_TOKEN}` };
    const response = await fetch(`${this.#url}/admin/v1${path}`, { ...init, headers });
    return (await response.json()) as T;
  }

  async #served(count: number): Promise<void> {
    for (;;) {
      const { workers } = await this.#admin<{ workers: { healthy: boolean }[] }>("/pool");
      if (workers.filter(({ healthy }) => healthy).length >= count) return;
      await sleep(50);
    }
  }

  #start(file: string, args: readonly string[], env: Record<string, string>): ChildProcess {
    const child = spawn(process.execPath, [join(root, file), ...args], {
      cwd: root,
      stdio: ["ignore", "pipe", "ignore"],
      env: { ...process.env, ANABRANCH_ACCESS_LOG: "off", ...env },
    });
    this.#children.add(child);
    child.on("exit", () => this.#children.delete(child));
    return child;
  }

  async #startGateway(port: string): Promise<void> {
    const args = ["--state", this.#state, "--port", port];
    const child = this.#start("gateway/local/main.ts", args, {});
    this.#gateway = child;
    if (!child.stdout) throw new Error("the gateway has no stdout");
    for await (const line of createInterface({ input: child.stdout })) {
      child.stdout.resume();
      this.#url = (JSON.parse(line) as { gateway: string }).gateway;
      return;
    }
    throw new Error("the gateway did not start");
  }

  #startWorker(id: string): void {
    const model = ["--model", "models/small", "--threads", "1"];
    const args = ["--gateway", this.#url, "--id", id, ...model, ...this.#options];
    const { ANABRANCH_POOL_TOKEN } = this.#secrets;
    const child = this.#start("gpu-worker/src/main.ts", args, { ANABRANCH_POOL_TOKEN });
    child.stdout?.resume();
    this.#workers.set(id, child);
  }

  async #kill(child: ChildProcess | null): Promise<void> {
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    child.kill("SIGKILL");
    await once(child, "exit");
  }
}
