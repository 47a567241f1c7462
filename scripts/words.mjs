// Words that this code no longer uses: each name in docs/renames.tsv was replaced by the field's own
// term, and must not come back.
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "./setup.mjs";

const table = "docs/renames.tsv";
const [, ...rows] = readFileSync(join(root, table), "utf8").trimEnd().split("\n");
const retired = rows.map((row) => row.split("\t"));

const { stdout } = spawnSync(
  "git",
  [
    ...["grep", "--untracked", "-nIwE", "-e", retired.map(([old]) => old).join("|"), "--"],
    ...["*.ts", "*.mjs", "*.cpp", "*.h", "*.cu", "*.cuh", "*.py", "*.proto", "*.json", "*.toml"],
    ...[":!package-lock.json", ":!models", ":!**/fixtures"],
  ],
  { cwd: root, encoding: "utf8", maxBuffer: 1 << 26 },
);
const hits = stdout.split("\n").filter((line) => line !== "");
for (const hit of hits) {
  const text = hit.split(":").slice(2).join(":");
  const [old, now] = retired.find(([word]) => new RegExp(`\\b${word}\\b`).test(text)) ?? [];
  process.stderr.write(`${hit.trim()}\n  ${old} is now ${now} (${table})\n`);
}
process.exit(hits.length > 0 ? 1 : 0);
