import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { fileURLToPath } from "node:url";
import { afterAll, expect, it } from "vitest";
import type { UsageFigures } from "./usage.ts";

const main = fileURLToPath(new URL("main.ts", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "anabranch-usage-"));
afterAll(() => rmSync(folder, { recursive: true }));

const run = (...args: string[]) =>
  spawnSync(process.execPath, [main, "usage", ...args], { encoding: "utf8" });

it("makes a database whose roll-up has every row once, and uses it again", () => {
  const database = join(folder, "usage.sqlite");
  const args = ["--rows", "3000", "--runs", "1", "--database", database, "--json"];
  const { stdout } = run(...args);
  const figures = JSON.parse(stdout) as UsageFigures;
  expect(figures).toMatchObject({ requests: 3_000, made: { rows_mb: expect.any(Number) } });
  const plans = figures.reports.map(({ plan }) => plan.join("\n"));
  for (const plan of plans) {
    // No report reads all rows: periods of a group and rows of a tenant are found by their keys.
    expect(plan).toContain("SEARCH p USING PRIMARY KEY (group_id=? AND period=? AND start>? AND");
    expect(plan).toContain(
      "SEARCH usage USING INDEX usage_by_tenant_and_time (tenant_id=? AND at>",
    );
    expect(plan).not.toMatch(/SCAN (usage|usage_sums|usage_times)\b/);
  }
  const db = new DatabaseSync(database);
  const one = (sql: string) => Object.values(db.prepare(sql).get() ?? {})[0];
  for (const period of [900, 86_400]) {
    expect(one(`SELECT sum(requests) FROM usage_sums WHERE period = ${period}`)).toBe(3_000);
    expect(one(`SELECT sum(cost) FROM usage_sums WHERE period = ${period}`)).toBe(
      one("SELECT sum(cost) FROM usage"),
    );
    expect(
      one(`SELECT sum(requests) FROM usage_times WHERE period = ${period} AND measure = 1`),
    ).toBe(one("SELECT count(*) FROM usage WHERE status = 200"));
  }
  db.close();
  expect(JSON.parse(run(...args).stdout)).toMatchObject({ requests: 3_000, made: null });
});

it("refuses what is no number of rows", () => {
  expect(run("--rows", "many")).toMatchObject({ status: 2, stdout: "" });
});
