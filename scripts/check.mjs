// Formatting, lint with the import walls, and types: the same here, in CI and before a commit.
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { root } from "./setup.mjs";

const bin = join(root, "node_modules", ".bin");
const checks = [
  ["format, lint and walls", "biome", ["ci", "--error-on-warnings"]],
  ["types", "tsc", ["-p", "tsconfig.json"]],
  ["types of the gateway", "tsc", ["-p", "gateway/tsconfig.json"]],
];
let failed = 0;
for (const [title, command, args] of checks) {
  process.stderr.write(`· ${title}\n`);
  if (spawnSync(join(bin, command), args, { cwd: root, stdio: "inherit" }).status !== 0) failed++;
}
process.stderr.write(
  failed ? `${failed} of ${checks.length} checks failed\n` : "all checks passed\n",
);
process.exit(failed ? 1 : 0);
