// llama.cpp's own server beside ours, if the environment names its program.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { freePort } from "./gateway/programs.ts";

/** Names the program `llama-server`. */
export const llamaServerVariable = "ANABRANCH_LLAMA_SERVER";

export class LlamaServer {
  readonly url: string;
  readonly #child: ChildProcess;

  private constructor(url: string, child: ChildProcess) {
    this.url = url;
    this.#child = child;
  }

  /**
   * Serves a GGUF file from one cache that all slots share.
   * @param context tokens of all requests that run at once
   * @throws Error if the program ends before it serves
   */
  static async start(
    program: string,
    model: string,
    { slots, context, threads }: { slots: number; context: number; threads: number },
  ): Promise<LlamaServer> {
    const port = await freePort();
    const child = spawn(
      program,
      [
        ...["-m", model, "--host", "127.0.0.1", "--port", String(port)],
        ...["-c", String(context), "-np", String(slots), "--kv-unified", "-fa", "on"],
        ...["-t", String(threads), "-tb", String(threads), "--jinja"],
      ],
      { stdio: ["ignore", "ignore", "pipe"] },
    );
    let said = "";
    child.stderr.on("data", (text) => {
      said = (said + text).slice(-2000);
    });
    const url = `http://127.0.0.1:${port}`;
    while (!(await isReady(url))) {
      if (child.exitCode !== null) throw new Error(`${program} ended while starting:\n${said}`);
      await sleep(100);
    }
    return new LlamaServer(url, child);
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode !== null) return;
    this.#child.kill("SIGTERM");
    await once(this.#child, "exit");
  }
}

const isReady = (url: string): Promise<boolean> =>
  fetch(`${url}/health`).then(
    ({ ok }) => ok,
    () => false,
  );

/** Prompt tokens that it computed for an answer: its `timings` are beside OpenAI's fields. */
export function computedTokens(completion: object): number {
  const timings: unknown = Reflect.get(completion, "timings");
  const { prompt_n } = (timings ?? {}) as { prompt_n?: number };
  return prompt_n ?? Number.NaN;
}
