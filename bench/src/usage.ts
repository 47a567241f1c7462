// npm run bench -- usage: reports over a database of many requests, with the gateway's own statements.
import { existsSync, mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { root } from "@anabranch/gateway/local/bundle.ts";
import { migrationsIn } from "@anabranch/gateway/local/migrations.ts";
import {
  reportStatements,
  tenantStatement,
} from "@anabranch/gateway/usage/report-statements-store.ts";
import type { Question } from "@anabranch/gateway/usage/rollup-store.ts";
import { integer } from "@anabranch/shared/cli/options.ts";
import { median } from "./quantiles.ts";
import { type Machine, say, thisMachine } from "./report.ts";
import { defineSubject } from "./subject.ts";
import { busiestTenant, fillUsage, lastSecond } from "./usage-rows.ts";

const help = `npm run bench -- usage [options]

Makes a database of 30 days of requests, fills the roll-up with the migration that makes it, and asks what the console,
an operator and a tenant ask, with the statements that the gateway runs. "rows alone" asks the same where no period of
the roll-up fits: an offset of seven minutes.

  --rows N          requests (default 100000)
  --runs N          of each report, after one that warms up (default 3); the median is printed
  --database FILE   keeps it there, and uses the one that is there
  --json            print one JSON value to stdout
`;

interface ReportFigures {
  report: string;
  rows: number;
  sums_ms: number;
  /** Null: a tenant's report has none. */
  percentiles_ms: number | null;
  plan: string[];
}

interface Made {
  /** Megabytes of the rows, and with the roll-up. */
  rows_mb: number;
  all_mb: number;
  roll_up_seconds: number;
}

export interface UsageFigures {
  machine: Machine;
  requests: number;
  groups: number;
  sums: number;
  times: number;
  /** Null: the database was there. */
  made: Made | null;
  /** Requests a second that are written one by one, with what their trigger adds. */
  writes_per_second: number;
  reports: ReportFigures[];
}

const day = 86_400;
const firstRollUp = "0008_usage_roll_up.sql";

function apply(db: DatabaseSync, which: (name: string) => boolean): void {
  for (const { name, statements } of migrationsIn(join(root, "migrations"))) {
    if (!which(name)) continue;
    for (const statement of statements) db.exec(statement);
  }
}

const reports = (): [name: string, question: Question][] => {
  const end = lastSecond;
  const all = { where: {}, utcOffset: 0, rowsFrom: 0, end };
  const month = { ...all, start: end - 30 * day };
  return [
    [
      "24 hours by hour, as the console asks",
      { ...all, start: end - day, by: [], interval: 3_600 },
    ],
    ["24 hours by hour and model", { ...all, start: end - day, by: ["model"], interval: 3_600 }],
    ["30 days by day, UTC", { ...month, by: [], interval: day }],
    ["30 days by day and tenant, UTC", { ...month, by: ["tenant"], interval: day }],
    ["30 days by day, UTC+1", { ...month, by: [], interval: day, utcOffset: 60 }],
    ["30 days by day, UTC+5:30", { ...month, by: [], interval: day, utcOffset: 330 }],
    [
      "30 days by tenant, model and status",
      { ...month, by: ["tenant", "model", "status"], interval: null },
    ],
    [
      "30 days of the busiest tenant by day and key",
      { ...month, where: { tenant: busiestTenant }, by: ["key"], interval: day },
    ],
    [
      "rows alone: 24 hours by hour",
      { ...all, start: end - day, by: [], interval: 3_600, utcOffset: 7 },
    ],
    ["rows alone: 30 days by day", { ...month, by: [], interval: day, utcOffset: 7 }],
  ];
};

interface Statement {
  sql: string;
  params: unknown[];
}

function timed(db: DatabaseSync, { sql, params }: Statement, runs: number) {
  const query = db.prepare(sql);
  const values = params as string[];
  const times: number[] = [];
  let rows = query.all(...values);
  for (let run = 0; run < runs; run++) {
    const start = performance.now();
    rows = query.all(...values);
    times.push(performance.now() - start);
  }
  const plan = db
    .prepare(`EXPLAIN QUERY PLAN ${sql}`)
    .all(...values)
    .map(({ detail }) => String(detail));
  return { ms: Number(median(times).toFixed(1)), rows: rows.length, plan };
}

function report(db: DatabaseSync, name: string, question: Question, runs: number): ReportFigures {
  const [sums, percentiles] = reportStatements(question, 10_001).map((statement) =>
    timed(db, statement, runs),
  );
  if (!sums || !percentiles) throw new Error("a report has two statements");
  say(`${name}: ${sums.ms} + ${percentiles.ms} ms`);
  return {
    ...{ report: name, rows: sums.rows, sums_ms: sums.ms, percentiles_ms: percentiles.ms },
    plan: [...sums.plan, ...percentiles.plan],
  };
}

function tenantReport(db: DatabaseSync, runs: number): ReportFigures {
  const where = { tenant: busiestTenant };
  const start = lastSecond - 30 * day;
  const question = { start, where, interval: day, utcOffset: 330, rowsFrom: 0 };
  const { ms, rows, plan } = timed(db, tenantStatement(question), runs);
  const name = "GET /v1/usage of the busiest tenant, 30 days, UTC+5:30";
  say(`${name}: ${ms} ms`);
  return { report: name, rows, sums_ms: ms, percentiles_ms: null, plan };
}

const countOf = (db: DatabaseSync, table: string): number =>
  Number(db.prepare(`SELECT count(*) AS n FROM ${table}`).get()?.n);

/** Rows first, then the migration that rolls them up. */
function make(db: DatabaseSync, file: string, rows: number): Made {
  const megabytes = () => {
    db.exec("PRAGMA wal_checkpoint(TRUNCATE)");
    return Math.round(statSync(file).size / 1e6);
  };
  apply(db, (name) => name < firstRollUp);
  db.exec("BEGIN");
  fillUsage(db, rows);
  db.exec("COMMIT");
  const ofRows = megabytes();
  say("filling the roll-up");
  const start = performance.now();
  apply(db, (name) => name >= firstRollUp);
  const seconds = (performance.now() - start) / 1_000;
  return { rows_mb: ofRows, all_mb: megabytes(), roll_up_seconds: Number(seconds.toFixed(1)) };
}

/** Rows of the gateway's kind, one by one with their trigger; none of them stays. */
function writesPerSecond(db: DatabaseSync, first: number): number {
  const rows = 20_000;
  db.exec("BEGIN");
  const start = performance.now();
  fillUsage(db, rows, first);
  const seconds = (performance.now() - start) / 1_000;
  db.exec("ROLLBACK");
  return Math.round(rows / seconds);
}

export const subject = defineSubject({
  help,
  options: {
    rows: { type: "string", default: "100000" },
    runs: { type: "string", default: "3" },
    database: { type: "string" },
  },
  async measure(values): Promise<UsageFigures> {
    const rows = integer("rows", values.rows, 1);
    const runs = integer("runs", values.runs, 1);
    const folder = mkdtempSync(join(tmpdir(), "anabranch-usage-"));
    try {
      const file = values.database ?? join(folder, "usage.sqlite");
      const isThere = existsSync(file);
      const db = new DatabaseSync(file);
      db.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF; PRAGMA cache_size = -262144");
      const made = isThere ? null : make(db, file, rows);
      const requests = countOf(db, "usage");
      const figures = [
        ...reports().map(([name, question]) => report(db, name, question, runs)),
        tenantReport(db, runs),
      ];
      return {
        ...{ machine: thisMachine(1), requests, groups: countOf(db, "usage_groups") },
        ...{ sums: countOf(db, "usage_sums"), times: countOf(db, "usage_times"), made },
        ...{ writes_per_second: writesPerSecond(db, requests), reports: figures },
      };
    } finally {
      rmSync(folder, { recursive: true });
    }
  },
  table: ({ requests, groups, sums, times, made, writes_per_second, reports }) =>
    [
      `${requests} requests in ${groups} groups: ${sums} sums, ${times} counts of times`,
      ...(made
        ? [
            `${made.rows_mb} MB of rows, ${made.all_mb} MB with the roll-up, filled in ${made.roll_up_seconds} s`,
          ]
        : []),
      `${writes_per_second} requests/s are written with what their trigger adds`,
      ...reports.map(
        ({ report, rows, sums_ms, percentiles_ms }) =>
          `${report}: ${rows} rows, sums ${sums_ms} ms${percentiles_ms === null ? "" : `, percentiles ${percentiles_ms} ms`}`,
      ),
      "",
    ].join("\n"),
});
