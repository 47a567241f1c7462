// npm run sanitize: builds engine-check and engine-fuzz under the address and undefined-behaviour
// sanitizers, then under the thread sanitizer, and runs both. Its builds are kept for the next time.
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { readCommandLine } from "../shared/src/cli/command.ts";
import { root } from "./setup.mjs";

const help = `npm run sanitize -- [options]

Builds the engine's check programs under sanitizers into native/build-address and native/build-thread,
and runs them: every kernel, serving from several threads, broken model folders, absurd requests.

  --seconds N  how long engine-fuzz runs under each (default 45)
  --seed N     its first seed (default 1)
  --only NAME  address or thread
`;

const { values } = readCommandLine({
  name: "sanitize",
  help,
  options: {
    seconds: { type: "string", default: "45" },
    seed: { type: "string", default: "1" },
    only: { type: "string" },
  },
});

const say = (line) => process.stderr.write(`${line}\n`);

/** Shows the end of the output if the command fails: a sanitizer's report comes last. */
function run(title, command, args, env = {}) {
  const started = Date.now();
  const { status, signal, stdout, stderr, error } = spawnSync(command, args, {
    cwd: root,
    encoding: "utf8",
    maxBuffer: 1 << 28,
    env: { ...process.env, ...env },
  });
  const seconds = ((Date.now() - started) / 1000).toFixed(0);
  if (status === 0) {
    const last = stdout.trimEnd().split("\n").at(-1);
    say(`ok   ${title}: ${last} (${seconds} s)`);
    return;
  }
  say(`${stdout.slice(-4000)}\n${stderr.slice(-8000)}`);
  say(`FAIL ${title}: ${error?.message ?? signal ?? `status ${status}`} after ${seconds} s`);
  process.exit(1);
}

const sanitizers = { address: "address,undefined", thread: "thread" };
for (const [name, kinds] of Object.entries(sanitizers)) {
  if (values.only && values.only !== name) continue;
  const folder = join("native", `build-${name}`);
  if (!existsSync(join(root, folder, "CMakeCache.txt"))) {
    run(`${kinds}: configure`, "cmake", [
      ...["-S", "native", "-B", folder, "-DCMAKE_BUILD_TYPE=RelWithDebInfo"],
      `-DANABRANCH_SANITIZE=${kinds}`,
      `-DANABRANCH_NODE_MODULES=${join(root, "node_modules")}`,
    ]);
  }
  run(`${kinds}: build`, "cmake", [
    ...["--build", folder, "--parallel", String(availableParallelism())],
    ...["--target", "engine-check", "engine-fuzz"],
  ]);
  const env = {
    UBSAN_OPTIONS: "halt_on_error=1:print_stacktrace=1",
    TSAN_OPTIONS: "halt_on_error=1:second_deadlock_stack=1",
  };
  run(`${kinds}: engine-check`, join(folder, "engine-check"), ["models/small"], env);
  const how = ["--seed", values.seed, "--seconds", values.seconds];
  run(`${kinds}: engine-fuzz`, join(folder, "engine-fuzz"), how, env);
}
