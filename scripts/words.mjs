// Words that this code no longer uses. Each row of docs/renames.tsv names one, the term that replaced it,
// whose term that is, and the folders in which the old word must not come back.
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "./setup.mjs";

const table = "docs/renames.tsv";
const [, ...rows] = readFileSync(join(root, table), "utf8").trimEnd().split("\n");
let hits = 0;
for (const [old, now, , where] of rows.map((row) => row.split("\t"))) {
  const { stdout } = spawnSync(
    "git",
    [
      ...["grep", "--untracked", "-nwI", "-e", old, "--", ...where.split(" ")],
      ...[":!*.md", ":!**/fixtures"],
    ],
    { cwd: root, encoding: "utf8", maxBuffer: 1 << 26 },
  );
  for (const line of stdout.split("\n").filter((each) => each !== "")) {
    hits++;
    process.stderr.write(`${line.trim()}\n  "${old}" is now "${now}" (${table})\n`);
  }
}
if (hits > 0)
  process.stderr.write("Retired words may not come back, in comments and strings too.\n");
process.exit(hits > 0 ? 1 : 0);
