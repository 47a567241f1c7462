// npm run format: everything that has a formatter, in place.
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { root } from "./setup.mjs";

const biome = join(root, "node_modules", ".bin", "biome");
const style = join(root, "scripts", "style.mjs");
const steps = [
  [biome, ["check", "--write"]],
  [process.execPath, [style, "--write"]],
];
const failed = steps.filter(
  ([command, args]) => spawnSync(command, args, { cwd: root, stdio: "inherit" }).status !== 0,
);
process.exit(failed.length > 0 ? 1 : 0);
