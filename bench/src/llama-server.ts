// llama.cpp's own server beside ours, if the environment names its program.
import { freePort, Program } from "./programs.ts";

/** Names the program `llama-server`. */
export const llamaServerVariable = "ANABRANCH_LLAMA_SERVER";

export class LlamaServer {
  readonly url: string;
  readonly #program: Program;

  private constructor(url: string, program: Program) {
    this.url = url;
    this.#program = program;
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
    const started = Program.start(program, [
      ...["-m", model, "--host", "127.0.0.1", "--port", String(port)],
      ...["-c", String(context), "-np", String(slots), "--kv-unified", "-fa", "on"],
      ...["-t", String(threads), "-tb", String(threads), "--jinja"],
    ]);
    const url = `http://127.0.0.1:${port}`;
    await started.answersAt(`${url}/health`);
    return new LlamaServer(url, started);
  }

  stop(): Promise<void> {
    return this.#program.stop();
  }
}

/** Prompt tokens that it computed for an answer, if this is its last chunk: `timings` are beside OpenAI's fields. */
export function computedTokens(chunk: object): number | undefined {
  const timings: unknown = Reflect.get(chunk, "timings");
  return (timings as { prompt_n?: number } | undefined)?.prompt_n;
}
