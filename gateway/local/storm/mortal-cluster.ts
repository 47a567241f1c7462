// A gateway and workers, each a process that may be killed; the next one takes its place.
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
import type { KeyLimits, PoolRow } from "../test-cluster.ts";

/** Requests that ended so. */
export interface Ended {
  status: number;
  cache: string;
  requests: number;
}

/** The options of a worker, beside those of the cluster; the later one of two counts. */
export type OptionsOf = (id: string) => readonly string[];

export class MortalCluster {
  readonly #state = mkdtempSync(join(tmpdir(), "anabranch-storm-"));
  readonly #secrets = secrets(join(this.#state, "secrets.json"));
  readonly #children = new Set<ChildProcess>();
  readonly #workers = new Map<string, ChildProcess>();
  #optionsOf: OptionsOf = () => [];
  #gateway: ChildProcess | null = null;
  readonly #stderr: "ignore" | "inherit";
  #url = "";

  /** `stderr` of the processes: worth reading where none of them is killed. */
  constructor(stderr: "ignore" | "inherit" = "ignore") {
    this.#stderr = stderr;
  }

  get url(): string {
    return this.#url;
  }

  /** Starts a gateway and workers with these names. */
  async open(workers: readonly string[], optionsOf: OptionsOf = () => []): Promise<void> {
    await this.#startGateway("0");
    await this.addWorkers(workers, optionsOf);
  }

  /** Starts workers with these names. */
  async addWorkers(workers: readonly string[], optionsOf: OptionsOf): Promise<void> {
    this.#optionsOf = optionsOf;
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

  /** To the worker's process, not to its engine's. */
  signalWorker(id: string, signal: "SIGSTOP" | "SIGCONT"): void {
    this.#workers.get(id)?.kill(signal);
  }

  /** Ends when the worker has ended, and another has taken its place. */
  async restartWorker(id: string): Promise<void> {
    const child = this.#workers.get(id);
    child?.kill("SIGTERM");
    if (child) await once(child, "exit");
    this.#startWorker(id);
  }

  async drainWorker(id: string): Promise<void> {
    await this.#admin(`/pool/${id}/drain`, { method: "POST" });
  }

  async pool(): Promise<PoolRow[]> {
    return (await this.#admin<{ workers: PoolRow[] }>("/pool")).workers;
  }

  async key(tenant: string, limits: KeyLimits = {}): Promise<string> {
    const body = JSON.stringify({ tenant, ...limits });
    return (await this.#admin<{ key: string }>("/keys", { method: "POST", body })).key;
  }

  async weigh(tenant: string, weight: number): Promise<void> {
    const body = JSON.stringify({ weight });
    await this.#admin(`/tenants/${tenant}`, { method: "PATCH", body });
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
      for (const [id, { exitCode }] of this.#workers) {
        if (exitCode !== null) throw new Error(`worker ${id} ended with ${exitCode}`);
      }
      const workers = await this.pool();
      if (workers.filter(({ healthy }) => healthy).length >= count) return;
      await sleep(50);
    }
  }

  #start(file: string, args: readonly string[], env: Record<string, string>): ChildProcess {
    const child = spawn(process.execPath, [join(root, file), ...args], {
      cwd: root,
      // The channel tells it when this process ends, however that happens.
      stdio: ["ignore", "pipe", this.#stderr, "ipc"],
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
    const args = ["--gateway", this.#url, "--id", id, ...model, ...this.#optionsOf(id)];
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
