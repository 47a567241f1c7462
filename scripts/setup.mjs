// Everything a command needs before it can run, each step skipped when it is already done.
// Node 20 built-ins only: this is what runs on a bare clone.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { availableParallelism } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

export const root = dirname(dirname(fileURLToPath(import.meta.url)));

/** A failed set-up step: the message says what to do next. */
export class SetupError extends Error {}

const say = (line) => process.stderr.write(`${line}\n`);

/** Runs one step. `show`: its output goes to stderr as it comes, so that a long step shows progress. */
function run(title, command, args, { show = false, ...options } = {}) {
  say(`· ${title}`);
  const started = Date.now();
  const result = spawnSync(command, args, {
    cwd: root,
    stdio: show ? ["ignore", 2, 2] : ["ignore", "pipe", "pipe"],
    encoding: "utf8",
    maxBuffer: 1 << 28,
    ...options,
  });
  if (result.error || result.status !== 0) {
    const why =
      result.error?.message ?? (show ? "see above" : `${result.stdout}\n${result.stderr}`);
    throw new SetupError(`${title} failed: ${command} ${args.join(" ")}\n${why}`);
  }
  say(`  done in ${((Date.now() - started) / 1000).toFixed(1)} s`);
}

function digest(paths) {
  const hash = createHash("sha256");
  const visit = (path) => {
    for (const entry of readdirSync(path, { withFileTypes: true })) {
      const at = join(path, entry.name);
      if (entry.isDirectory()) visit(at);
      else hash.update(at.slice(root.length)).update(readFileSync(at));
    }
  };
  for (const path of paths) {
    const at = join(root, path);
    if (/\.[a-z]+$/.test(path)) hash.update(path).update(readFileSync(at));
    else visit(at);
  }
  return hash.digest("hex");
}

/** Whether the stamp in `stampFile` says that these inputs were done before. */
function isDone(stampFile, inputs) {
  const stamp = join(root, stampFile);
  return existsSync(stamp) && readFileSync(stamp, "utf8") === digest(inputs);
}

/** Runs `step` unless it was done with these inputs before. */
function once(stampFile, inputs, step) {
  if (isDone(stampFile, inputs)) return;
  alone(() => {
    // Another command may have done it meanwhile.
    if (isDone(stampFile, inputs)) return;
    const now = digest(inputs);
    step();
    const stamp = join(root, stampFile);
    mkdirSync(dirname(stamp), { recursive: true });
    writeFileSync(stamp, now);
  });
}

const lockFile = join(root, ".anabranch/setup.lock");

/** Runs `step` while no other command sets this folder up: two would write the same files. */
function alone(step) {
  mkdirSync(dirname(lockFile), { recursive: true });
  let told;
  for (let holder = takeLock(); holder !== null; holder = takeLock()) {
    if (holder !== told) {
      say(`· waiting for process ${holder}, which sets this folder up (${lockFile})`);
      told = holder;
    }
    pause(200);
  }
  try {
    step();
  } finally {
    rmSync(lockFile, { force: true });
  }
}

/** Takes the lock, also from a process that has ended without giving it back. Returns who has it; null: this process. */
function takeLock() {
  try {
    writeFileSync(lockFile, String(process.pid), { flag: "wx" });
    return null;
  } catch (error) {
    if (error.code !== "EEXIST") throw error;
  }
  const read = () => (existsSync(lockFile) ? readFileSync(lockFile, "utf8") : "");
  const holder = read();
  if (isRunning(Number(holder))) return holder;
  // It may just be writing its name.
  pause(100);
  if (read() === holder) rmSync(lockFile, { force: true });
  return takeLock();
}

/** Steps are synchronous, so this is too. */
const pause = (ms) => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);

function isRunning(pid) {
  if (!(pid > 0)) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === "EPERM";
  }
}

const manifests = ["package.json", "package-lock.json"];
const allInstalled = "node_modules/.anabranch-installed";
const servingInstalled = "node_modules/.anabranch-serving-installed";
const quietly = ["--loglevel", "error", "--no-audit", "--no-fund"];

/** All npm packages, exactly as locked. */
export function packages() {
  once(allInstalled, manifests, () => {
    // `npm ci` would remove first what a server that is running was started from.
    const how = isDone(servingInstalled, manifests) ? ["install", "--no-save"] : ["ci"];
    run("installing npm packages", "npm", [...how, ...quietly]);
  });
}

/** Those that serve, exactly as locked: none that only our own tests, checks and measurements use. */
export function servingPackages() {
  if (isDone(allInstalled, manifests)) return;
  once(servingInstalled, manifests, () =>
    run("installing npm packages", "npm", ["ci", "--omit", "dev", ...quietly]),
  );
}

const has = (command) => spawnSync(command, ["--version"], { stdio: "ignore" }).status === 0;

/** The engine and its addon. A machine with nvcc gets the CUDA backend too (CMake decides). */
export function native() {
  build("anabranch", "building the native engine");
}

/** The same, and its check programs. */
export function nativeChecks() {
  build("all", "building the native engine and its checks");
}

function build(target, title) {
  servingPackages();
  once(
    `native/build/.anabranch-built-${target}`,
    ["native/CMakeLists.txt", "native/engine", "native/addon", "native/programs"],
    () => {
      for (const [tool, hint] of [
        ["cmake", "install CMake 3.25 or later (Debian: apt-get install cmake)"],
        ["c++", "install a C++20 compiler (Debian: apt-get install g++)"],
      ]) {
        if (!has(tool)) throw new SetupError(`${tool} is missing: ${hint}`);
      }
      const generator = has("ninja") ? "Ninja" : "Unix Makefiles";
      if (generator !== "Ninja" && !has("make")) {
        throw new SetupError("make or ninja is missing: Debian: apt-get install make");
      }
      if (!isConfigured()) {
        run("configuring the native engine", "cmake", [
          ...["-S", "native", "-B", "native/build", "-G", generator],
          "-DCMAKE_BUILD_TYPE=Release",
          `-DANABRANCH_NODE_MODULES=${join(root, "node_modules")}`,
          ...(process.env.ANABRANCH_KERNELS
            ? [`-DANABRANCH_KERNELS=${process.env.ANABRANCH_KERNELS}`]
            : []),
        ]);
      }
      const parallel = ["--parallel", String(availableParallelism())];
      run(title, "cmake", ["--build", "native/build", ...parallel, "--target", target], {
        show: true,
      });
    },
  );
}

/**
 * Whether native/build is ready to build this checkout. If not, it is removed: a copied folder would build the other
 * checkout, and what is left of a configuration that failed remembers its fault.
 */
function isConfigured() {
  const folder = join(root, "native/build");
  const cache = join(folder, "CMakeCache.txt");
  if (!existsSync(cache)) return false;
  const home = /^CMAKE_HOME_DIRECTORY:INTERNAL=(.*)$/m.exec(readFileSync(cache, "utf8"))?.[1];
  const written = ["build.ninja", "Makefile"].some((name) => existsSync(join(folder, name)));
  // CMake may know this folder by a link to it.
  const own = home && existsSync(home) && realpathSync(home) === realpathSync(join(root, "native"));
  if (written && own) return true;
  rmSync(folder, { recursive: true });
  return false;
}

/** The console's files, which the gateway serves. */
export function consoleFiles() {
  servingPackages();
  once(
    "console/dist/.anabranch-built",
    [
      ...["console/index.html", "console/vite.config.ts", "console/src"],
      ...["shared/src", "package-lock.json"],
    ],
    () =>
      run("building the console", modernNode(), [
        ...[join(root, "node_modules/vite/bin/vite.js"), "build", "--config"],
        ...["console/vite.config.ts", "--logLevel", "warn"],
      ]),
  );
}

/** The browser of the console's tests, unpacked from its npm package. */
export function browser() {
  packages();
  const folder = join(root, ".anabranch/browser");
  once(
    ".anabranch/browser/.anabranch-unpacked",
    ["console/test/unpack-browser.ts", "package-lock.json"],
    () => {
      rmSync(folder, { recursive: true, force: true });
      mkdirSync(folder, { recursive: true });
      run("unpacking a browser", modernNode(), ["console/test/unpack-browser.ts", folder]);
    },
  );
}

const venv = join(root, ".anabranch/venv");
export const venvPython = join(venv, "bin/python");

/** The Python environment of training/requirements.txt. */
export function python() {
  once(".anabranch/venv/.anabranch-installed", ["training/requirements.txt"], () => {
    if (!has("python3")) throw new SetupError("python3 is missing: install Python 3.11 or later");
    if (spawnSync("python3", ["-c", "import ensurepip, venv"]).status !== 0) {
      throw new SetupError("python3 has no venv: Debian: apt-get install python3-venv");
    }
    run("making a Python environment", "python3", ["-m", "venv", "--clear", venv]);
    const pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
    const pinned = "training/requirements.txt";
    // With its dependencies: they differ by platform (on Linux, CUDA's libraries).
    run("installing PyTorch", venvPython, [...pip, "-c", pinned, "torch"]);
    run("installing Python packages", venvPython, [...pip, "--no-deps", "-r", pinned]);
  });
}

/** The Node that runs our TypeScript: the one npm installed, else this one if it is new enough. */
export function modernNode() {
  const installed = join(root, "node_modules", `node-linux-${process.arch}`, "bin", "node");
  if (existsSync(installed)) return installed;
  const [major, minor] = process.versions.node.split(".").map(Number);
  if (major > 22 || (major === 22 && minor >= 18)) return process.execPath;
  throw new SetupError(
    `Node ${process.versions.node} is too old here: install Node 22.18 or later`,
  );
}
