import { useSignal } from "@preact/signals";
import { useMemo } from "preact/hooks";
import { api, bodyOf } from "../api/client.ts";
import { Failure } from "../api/failure.ts";
import { usePolled } from "../api/polled.ts";
import { Choice } from "../parts/choice.tsx";
import { Empty, ErrorNote, Shown } from "../parts/notes.tsx";
import { hrefOf, query, setQuery } from "../router.ts";
import { admin } from "../session.ts";
import { Chart } from "./chart.tsx";
import { grouping, groupings, type Interval, intervalOf, spans } from "./interval.ts";
import {
  columnsOf,
  groupsOf,
  measuresAt,
  mostGroups,
  type Percentile,
  percentiles,
  type Row,
} from "./measures.ts";
import { Totals } from "./totals.tsx";

const everyMs = 10_000;

const percentile = (): Percentile =>
  percentiles.find((each) => each === query.value.get("percentile")) ?? "p95";

/** What of the interval and the address `/admin/v1/usage` takes. */
function questionOf({ start, end, utcOffset }: Interval) {
  return { start, end, utc_offset: utcOffset };
}

interface Answer {
  interval: Interval;
  /** By time and group. */
  rows: Row[];
  /** By group alone. */
  totals: Row[];
  /** Of what they cost; null: nothing has a price. */
  currency: string | null;
  truncated: boolean;
}

async function look(): Promise<Answer> {
  const interval = intervalOf(Date.now());
  const by = grouping();
  const given = questionOf(interval);
  const ask = (dimensions: (string | null)[]) => {
    const by = dimensions.filter((each) => each !== null).join(",");
    const params = { query: { ...given, ...(by === "" ? {} : { by }) } };
    return bodyOf(api.GET("/admin/v1/usage", { params }));
  };
  const [inTime, whole] = await Promise.all([ask([interval.by, by]), ask([by])]);
  return {
    interval,
    rows: inTime.rows as Row[],
    totals: whole.rows as Row[],
    currency: whole.currency,
    truncated: inTime.truncated || whole.truncated,
  };
}

/** The same rows as a file, all of them. */
async function exportCsv(): Promise<void> {
  const interval = intervalOf(Date.now());
  const given = { ...questionOf(interval), format: "csv" };
  const by = [interval.by, grouping()].filter((each) => each !== null).join(",");
  const fields = Object.entries({ ...given, by }).map(([name, value]) => [name, String(value)]);
  const lines: string[] = [];
  for (let offset: string | null = "0"; offset !== null; ) {
    const query = new URLSearchParams([...fields, ["offset", offset]]);
    const response = await fetch(`/admin/v1/usage?${query}`, {
      headers: { authorization: `Bearer ${admin.value}` },
    });
    if (!response.ok) throw await Failure.of(response);
    const [head = "", ...rows] = (await response.text()).trimEnd().split("\n");
    lines.push(...(lines.length === 0 ? [head] : []), ...rows);
    offset = response.headers.get("x-next-offset");
  }
  const url = URL.createObjectURL(new Blob([`${lines.join("\n")}\n`], { type: "text/csv" }));
  const link = document.createElement("a");
  link.href = url;
  link.download = "usage.csv";
  link.click();
  URL.revokeObjectURL(url);
}

function Controls() {
  const own = query.value.has("from");
  const problem = useSignal<string | null>(null);
  const save = async () => {
    problem.value = await exportCsv().then(
      () => null,
      (error) => Failure.from(error).message,
    );
  };
  const today = new Date().toLocaleDateString("en-CA");
  const day = (name: "from" | "to", label: string) => (
    <label class="inline-field">
      <span>{label}</span>
      <input
        type="date"
        value={query.value.get(name) ?? today}
        onChange={(event) => setQuery({ [name]: event.currentTarget.value || null })}
      />
    </label>
  );
  return (
    <div class="toolbar controls">
      <Choice
        label="Interval"
        value={own ? "own" : (query.value.get("days") ?? "1")}
        options={[...Object.entries(spans), ["own", "From … to …"] as const]}
        take={(days) =>
          setQuery(
            days === "own"
              ? { days: null, from: today, to: today }
              : { days, from: null, to: null },
          )
        }
      />
      {own && day("from", "From")}
      {own && day("to", "To")}
      <Choice
        label="By"
        value={grouping() ?? ""}
        options={[["", "all"] as const, ...groupings.map((each) => [each, each] as const)]}
        take={(by) => setQuery({ by: by || null })}
      />
      <Choice
        label="Percentile"
        value={percentile()}
        options={percentiles.map((each) => [each, each] as const)}
        take={(value) => setQuery({ percentile: value })}
      />
      <span class="grow" />
      <button type="button" class="quiet" onClick={() => void save()}>
        Export CSV
      </button>
      {problem.value && <ErrorNote message={problem.value} />}
    </div>
  );
}

function Charts({ answer }: { answer: Answer }) {
  const { rows, totals, interval, currency, truncated } = answer;
  const by = grouping();
  const at = percentile();
  const groups = groupsOf(totals, by);
  const lines = groups.slice(0, mostGroups);
  const names = lines.join("\n");
  const charts = useMemo(
    () =>
      measuresAt(at, currency).map((measure) => ({
        measure,
        columns: columnsOf(rows, measure, interval, by, lines),
      })),
    [rows, at, by, names, currency],
  );
  if (rows.length === 0) {
    return (
      <Empty title="Nothing was asked in this interval">
        <p>
          Choose a longer one, or ask something in the <a href={hrefOf("playground")}>playground</a>
          . A row is there a second after its answer has ended.
        </p>
      </Empty>
    );
  }
  return (
    <>
      {truncated && (
        <p class="note note-error">
          There are more rows than are shown: choose a shorter interval.
        </p>
      )}
      <div class="charts">
        {charts.map(({ measure, columns }) => (
          <Chart key={measure.title} measure={measure} columns={columns} groups={lines} />
        ))}
      </div>
      {groups.length > lines.length && (
        <p class="muted small">
          Charts show the {mostGroups} of {groups.length} with the most requests; the table has all.
        </p>
      )}
      <Totals rows={totals} by={by} at={at} currency={currency} />
    </>
  );
}

export function UsagePage() {
  const usage = usePolled(look, query.value.toString(), everyMs);
  return (
    <>
      <div class="toolbar">
        <h1>Usage</h1>
        <span class="muted small">of all tenants, in your time zone</span>
      </div>
      <Controls />
      <Shown of={usage}>{(answer) => <Charts answer={answer} />}</Shown>
    </>
  );
}
