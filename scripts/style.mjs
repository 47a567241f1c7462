// Formatting of what Biome doesn't know: C++ and CUDA by clang-format, Python by ruff, which also lints.
// Their WebAssembly builds come with npm, so no machine needs either installed.
//   node scripts/style.mjs [--write]
import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { PositionEncoding, Workspace } from "@astral-sh/ruff-wasm-nodejs";
import { format as clangFormat } from "@wasm-fmt/clang-format";
import { parse } from "smol-toml";
import { root } from "./setup.mjs";

const write = process.argv.includes("--write");
const read = (path) => readFileSync(join(root, path), "utf8");
const say = (line) => process.stderr.write(`${line}\n`);

/** Tracked and new files that git does not ignore, by extension. */
function files(...extensions) {
  const patterns = extensions.map((extension) => `*.${extension}`);
  const list = ["ls-files", "--cached", "--others", "--exclude-standard", "--deduplicate"];
  const { stdout } = spawnSync("git", [...list, ...patterns], { cwd: root, encoding: "utf8" });
  return stdout.split("\n").filter((path) => path !== "");
}

let faults = 0;

/** Compares a file with its formatted self, or writes that. */
function settle(path, before, after) {
  if (before === after) return;
  if (write) return writeFileSync(join(root, path), after);
  faults++;
  say(`${path}: not formatted; npm run format does it`);
}

const cppStyle = read(".clang-format");
for (const path of files("h", "cpp", "cu", "cuh")) {
  const text = read(path);
  // clang-format knows CUDA by its C++ syntax alone.
  settle(path, text, clangFormat(text, path.replace(/\.cuh?$/, ".cpp"), cppStyle));
}

const ruff = new Workspace(parse(read("training/python/ruff.toml")), PositionEncoding.Utf16);
for (const path of files("py")) {
  const text = read(path);
  settle(path, text, ruff.format(text));
  for (const { code, message, start_location: at } of ruff.check(text)) {
    faults++;
    say(`${path}:${at.row}:${at.column}: ${code ?? "syntax"} ${message}`);
  }
}
process.exit(faults > 0 ? 1 : 0);
