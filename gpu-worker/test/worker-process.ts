// A real worker process with its engine process, for tests.
import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { childProcesses } from "@anabranch/shared/child-processes.ts";
import { Worker } from "@anabranch/shared/proto/anabranch/v1/worker_pb.js";
import { type Client, createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";

const repository = fileURLToPath(new URL("../../", import.meta.url));
export const smallModel = `${repository}models/small`;
const credential = "a credential for tests";

export class WorkerProcess {
  readonly child: ChildProcess;
  readonly client: Client<typeof Worker>;
  readonly url: string;
  readonly headers = { authorization: `Bearer ${credential}` };

  private constructor(child: ChildProcess, url: string) {
    this.child = child;
    this.url = url;
    this.client = createClient(
      Worker,
      createConnectTransport({ baseUrl: url, httpVersion: "1.1" }),
    );
  }

  /** Starts one and resolves when it serves. @throws Error with its last line if it ends first */
  static async start(args: string[] = ["--model", smallModel]): Promise<WorkerProcess> {
    const child = spawn(process.execPath, [`${repository}gpu-worker/src/main.ts`, ...args], {
      stdio: ["ignore", "ignore", "pipe"],
      env: { ...process.env, ANABRANCH_WORKER_CREDENTIAL: credential },
    });
    let last = "";
    for await (const line of createInterface({ input: child.stderr })) {
      last = line;
      const url = line.match(/serving at (http:\S+)/)?.[1];
      if (!url) continue;
      child.stderr.resume();
      return new WorkerProcess(child, url);
    }
    throw new Error(last);
  }

  /** Process ids of its children: the engine. */
  children(): number[] {
    return childProcesses(this.child.pid ?? 0);
  }

  async stop(): Promise<number | null> {
    if (this.child.exitCode !== null) return this.child.exitCode;
    const gone = new Promise<number | null>((resolve) => this.child.once("exit", resolve));
    this.child.kill("SIGTERM");
    return gone;
  }
}
