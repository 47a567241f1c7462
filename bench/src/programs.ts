// Programs that the bench starts: their first words, and the memory of them and their children.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { residentMiB } from "@anabranch/shared/child-processes.ts";

const readyMs = 60_000;
const sampleMs = 100;

/** A port that was free a moment ago, for programs that can't choose one and say which. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, "close");
  return port;
}

export class Program {
  readonly #child: ChildProcess;
  readonly #timer: ReturnType<typeof setInterval>;
  /** The most memory that it and its children had at once. */
  peakMiB = 0;
  /** The end of what it said on stderr. */
  #said = "";

  private constructor(child: ChildProcess) {
    this.#child = child;
    child.stderr?.on("data", (text) => {
      this.#said = (this.#said + text).slice(-2_000);
    });
    this.#timer = setInterval(() => {
      if (child.pid) this.peakMiB = Math.max(this.peakMiB, residentMiB(child.pid));
    }, sampleMs);
  }

  static start(file: string, args: readonly string[], env: Record<string, string> = {}): Program {
    const child = spawn(file, args, {
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, ...env },
    });
    return new Program(child);
  }

  /** The JSON of its first line. Throws if it ends before. */
  async firstLine<T>(): Promise<T> {
    if (!this.#child.stdout) throw new Error("its output is not read");
    for await (const line of createInterface({ input: this.#child.stdout })) {
      this.#child.stdout.resume();
      return JSON.parse(line) as T;
    }
    throw this.#failure("ended before it was ready");
  }

  /** Waits until `url` is answered with a status of success. */
  async answersAt(url: string): Promise<void> {
    this.#child.stdout?.resume();
    for (const until = Date.now() + readyMs; ; await sleep(50)) {
      const isReady = await fetch(url).then(
        ({ ok }) => ok,
        () => false,
      );
      if (isReady) return;
      if (this.#child.exitCode !== null || Date.now() > until) {
        throw this.#failure(`does not answer at ${url}`);
      }
    }
  }

  #failure(what: string): Error {
    return new Error(`${this.#child.spawnargs.join(" ")} ${what}\n${this.#said}`);
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    this.#child.kill("SIGTERM");
    const ended = once(this.#child, "exit");
    if ((await Promise.race([ended, sleep(5_000)])) === undefined) this.#child.kill("SIGKILL");
  }
}
