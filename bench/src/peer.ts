// Runs llama.cpp's own programs beside ours: llama-batched-bench and llama-perplexity.
import { spawnSync } from "node:child_process";
import { accessSync, constants } from "node:fs";

export interface PeerRun {
  /** Tokens a second of all lanes together, by lanes. */
  decoded: Map<number, number>;
  /** Prefill of the common prefix in tokens a second, one figure per number of lanes. */
  prefill: number[];
}

export interface Peer {
  name: string;
  build: string;
  run(model: string, lanes: readonly number[], prefix: number, tokens: number): PeerRun;
}

const howTo = (
  program: string,
  variable: string,
) => `--peer llama.cpp needs ${program}, and ${variable} must name it:
  git clone https://github.com/ggml-org/llama.cpp && cd llama.cpp
  cmake -S . -B build -DCMAKE_BUILD_TYPE=Release -DLLAMA_CURL=OFF
  cmake --build build --target ${program}
  export ${variable}=$PWD/build/bin/${program}`;

interface Program {
  path: string;
  /** As --version says. */
  build: string;
  call(args: string[]): { status: number | null; output: string };
}

/** @throws Error that says how to build the program if it is not there */
function programOf(name: string, variable: string): Program {
  const path = process.env[variable];
  if (!path) throw new Error(howTo(name, variable));
  accessSync(path, constants.X_OK);
  const call = (args: string[]) => {
    const { status, stdout, stderr, error } = spawnSync(path, args, {
      encoding: "utf8",
      maxBuffer: 1 << 28,
    });
    if (error) throw error;
    return { status, output: `${stdout}\n${stderr}` };
  };
  const version = /^version: .*$|^built with .*$/gm;
  return {
    path,
    build: (call(["--version"]).output.match(version) ?? ["unknown"]).join(", "),
    call,
  };
}

/**
 * Lanes over one shared prefix in one unified cache, like ours; K and V in fp16.
 * @throws Error that says how to build the program if it is not there
 */
export function llamaCpp(threads: number): Peer {
  const { path, build, call } = programOf("llama-batched-bench", "LLAMA_BATCHED_BENCH");
  return {
    name: "llama.cpp",
    build,
    run(model, lanes, prefix, tokens) {
      const context = prefix + Math.max(...lanes) * tokens;
      const { status, output } = call([
        ...["-m", model, "-c", String(context), "-b", "2048", "-ub", "512"],
        ...["-t", String(threads), "-tb", String(threads)],
        ...["-npp", String(prefix), "-ntg", String(tokens), "-npl", lanes.join(",")],
        ...["-pps", "-kvu", "-fa", "on", "--output-format", "jsonl"],
      ]);
      const rows = output
        .split("\n")
        .filter((line) => line.includes('"speed_tg"'))
        .map((line) => JSON.parse(line.slice(line.indexOf("{"))) as Record<string, number>);
      if (status !== 0 || rows.length !== lanes.length) {
        throw new Error(`${path} failed (status ${status}):\n${output.slice(-2000)}`);
      }
      return {
        decoded: new Map(rows.map((row) => [row.pl ?? 0, row.speed_tg ?? Number.NaN])),
        prefill: rows.map((row) => row.speed_pp ?? Number.NaN),
      };
    },
  };
}

export interface PeerPerplexity {
  name: string;
  build: string;
  perplexity: number;
  error: number;
}

/**
 * Perplexity of a model's file on a text, over the first `windows` windows of `window` tokens.
 * @throws Error that says how to build the program if it is not there
 */
export function llamaPerplexity(
  threads: number,
): (model: string, text: string, window: number, windows: number) => PeerPerplexity {
  const { path, build, call } = programOf("llama-perplexity", "LLAMA_PERPLEXITY");
  return (model, text, window, windows) => {
    const { status, output } = call([
      ...["-m", model, "-f", text, "--no-escape", "-c", String(window), "-b", String(window)],
      ...["--chunks", String(windows), "-t", String(threads), "-tb", String(threads)],
    ]);
    const [, perplexity, error] = /PPL = ([\d.]+) \+\/- ([\d.]+)/.exec(output) ?? [];
    if (status !== 0 || perplexity === undefined) {
      throw new Error(`${path} failed (status ${status}):\n${output.slice(-2000)}`);
    }
    return { name: "llama.cpp", build, perplexity: Number(perplexity), error: Number(error) };
  };
}
