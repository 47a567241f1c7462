// npm run fuzz: libFuzzer over the reading of model files, built with clang into native/build-fuzz. The
// fixtures of the tests are its first inputs; what it finds new stays in native/build-fuzz/corpus.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { readCommandLine } from "../shared/src/cli/command.ts";
import { root } from "./setup.mjs";

const help = `npm run fuzz -- [options] [FILE]

Gives broken GGUF files, safetensors, configurations, adapters and dialects to the engine, under the
address and undefined-behaviour sanitizers. Needs clang. A file on which it fails is named on stderr;
given as FILE, it is read once more.

  --seconds N  how long (default 1800)
  --seed N     of libFuzzer (default: the time's)
`;

const { values, positionals } = readCommandLine({
  name: "fuzz",
  help,
  positionals: true,
  options: {
    seconds: { type: "string", default: "1800" },
    seed: { type: "string", default: "0" },
  },
});

const build = join(root, "native/build-fuzz");
const corpus = join(build, "corpus");

function run(command, args) {
  const { status, error } = spawnSync(command, args, {
    cwd: root,
    stdio: "inherit",
    env: { ...process.env, UBSAN_OPTIONS: "print_stacktrace=1" },
  });
  if (error) process.stderr.write(`${command}: ${error.message}\n`);
  if (status !== 0) process.exit(1);
}

/** Inputs as native/programs/fuzz/file_reading.cpp takes them; large ones would only slow it down. */
function addFixtures() {
  mkdirSync(corpus, { recursive: true });
  let count = 0;
  const add = (...parts) => {
    const input = Buffer.concat(parts);
    if (input.length < 1 << 16) writeFileSync(join(corpus, `fixture-${count++}`), input);
  };
  const folder = (path, config, weights) => {
    const files = [config, weights].map((name) => join(path, name));
    if (!files.every(existsSync)) return;
    const [json, tensors] = files.map((file) => readFileSync(file));
    add(json);
    add(tensors);
    add(json, Buffer.from([0]), tensors);
  };
  const under = (path) => readdirSync(join(root, path)).map((name) => join(root, path, name));
  for (const path of under("native/test/gguf/fixtures")) {
    if (path.endsWith(".gguf")) add(readFileSync(path));
  }
  for (const path of under("native/test/oracle/fixtures")) {
    folder(path, "config.json", "model.safetensors");
  }
  for (const path of under("native/test/adapters/fixtures")) {
    folder(path, "adapter_config.json", "adapter_model.safetensors");
  }
  for (const path of under("shared/dialects")) add(readFileSync(path));
}

if (!existsSync(join(build, "CMakeCache.txt"))) {
  run("cmake", [
    ...["-S", "native", "-B", build, "-DCMAKE_BUILD_TYPE=RelWithDebInfo", "-DANABRANCH_CUDA=OFF"],
    ...["-DCMAKE_CXX_COMPILER=clang++", `-DANABRANCH_NODE_MODULES=${join(root, "node_modules")}`],
  ]);
}
run("cmake", ["--build", build, "--parallel", "2", "--target", "reader-fuzz"]);
addFixtures();
const program = join(build, "reader-fuzz");
if (positionals.length > 0) run(program, positionals);
else {
  run(program, [
    ...[corpus, `-max_total_time=${values.seconds}`, `-seed=${values.seed}`, "-max_len=65536"],
    ...["-timeout=20", "-rss_limit_mb=4096", `-artifact_prefix=${build}/`],
    ...[`-dict=${join(root, "native/programs/fuzz/file_reading.dict")}`, "-print_final_stats=1"],
  ]);
}
