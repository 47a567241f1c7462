// npm run check: formatting, lint with the import walls, words and types. CI and the commit hook run the
// same.
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { root } from "./setup.mjs";

const bin = (name) => join(root, "node_modules", ".bin", name);
const script = (name) => [process.execPath, [join(root, "scripts", name)]];
const checks = [
  ["format, lint and walls", bin("biome"), ["ci", "--error-on-warnings"]],
  ["format of C++ and Python", ...script("style.mjs")],
  ["words", ...script("words.mjs")],
  ["the API's document", ...script("lint-api.mjs")],
  ["types", bin("tsc"), ["-p", "tsconfig.json"]],
  ["types of the gateway", bin("tsc"), ["-p", "gateway/tsconfig.json"]],
  ["types of the client library", bin("tsc"), ["-p", "client/tsconfig.json"]],
  ["types of the console", bin("tsc"), ["-p", "console/tsconfig.json"]],
];
let failed = 0;
for (const [title, command, args] of checks) {
  process.stderr.write(`· ${title}\n`);
  if (spawnSync(command, args, { cwd: root, stdio: "inherit" }).status !== 0) failed++;
}
process.stderr.write(
  failed ? `${failed} of ${checks.length} checks failed\n` : "all checks passed\n",
);
process.exit(failed ? 1 : 0);
