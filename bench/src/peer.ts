// Runs llama.cpp on the same weights, with its own llama-batched-bench.
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

const howTo = `--peer llama.cpp needs llama-batched-bench, and LLAMA_BATCHED_BENCH must name it:
  git clone https://github.com/ggml-org/llama.cpp && cd llama.cpp
  cmake -S . -B build -DCMAKE_BUILD_TYPE=Release -DLLAMA_CURL=OFF
  cmake --build build --target llama-batched-bench
  export LLAMA_BATCHED_BENCH=$PWD/build/bin/llama-batched-bench`;

/**
 * Lanes over one shared prefix in one unified cache, like ours; K and V in fp16.
 * @throws Error that says how to build the program if it is not there
 */
export function llamaCpp(threads: number): Peer {
  const program = process.env.LLAMA_BATCHED_BENCH;
  if (!program) throw new Error(howTo);
  accessSync(program, constants.X_OK);
  const call = (args: string[]) => {
    const { status, stdout, stderr, error } = spawnSync(program, args, {
      encoding: "utf8",
      maxBuffer: 1 << 28,
    });
    if (error) throw error;
    return { status, output: `${stdout}\n${stderr}` };
  };
  const version = /^version: .*$|^built with .*$/gm;
  return {
    name: "llama.cpp",
    build: (call(["--version"]).output.match(version) ?? ["unknown"]).join(", "),
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
        throw new Error(`${program} failed (status ${status}):\n${output.slice(-2000)}`);
      }
      return {
        decoded: new Map(rows.map((row) => [row.pl ?? 0, row.speed_tg ?? Number.NaN])),
        prefill: rows.map((row) => row.speed_pp ?? Number.NaN),
      };
    },
  };
}
