// What the tenant of this tab's key has used, and what is left of its month.
import { api, bodyOf, type Schemas } from "../api/client.ts";
import { usePolled } from "../api/polled.ts";
import { Choice } from "../parts/choice.tsx";
import { Empty, Shown } from "../parts/notes.tsx";
import { count, left, money } from "../parts/numbers.ts";
import { ScrollTable } from "../parts/scroll-table.tsx";
import { hrefOf, query, setQuery } from "../router.ts";
import { Chart } from "./chart.tsx";
import { type Interval, intervalOf, spans } from "./interval.ts";
import { columnsOf, groupsOf, type Measure, measuresAt, mostGroups, type Row } from "./measures.ts";

const everyMs = 10_000;

const groupings = ["model", "key"] as const;
const grouping = () => groupings.find((each) => each === query.value.get("by")) ?? null;

type Budget = Schemas["Budget"];
interface Answer {
  interval: Interval;
  rows: Row[];
  currency: string | null;
  month: { key: Budget; tenant: Budget };
}

const added = [
  ...["requests", "prompt_tokens", "completion_tokens", "visible_tokens", "steps", "branches"],
  ...["cache_hits", "refused", "cut", "cost"],
];

/** A row for each time and group, of rows by time, model and key. Tokens and money include answers that were cut off. */
function grouped(data: readonly Schemas["UsageRow"][]): Row[] {
  const by = grouping();
  const rows = new Map<string, Row>();
  for (const { incomplete, ...whole } of data) {
    const all: Row = {
      ...{ start: whole.start, model: whole.model, key: whole.key, steps: whole.steps },
      ...{ visible_tokens: whole.visible_tokens, branches: whole.branches },
      ...{ cache_hits: whole.cache_hits, refused: whole.refused, cut: incomplete.requests },
      requests: whole.requests + incomplete.requests + whole.refused,
      prompt_tokens: whole.prompt_tokens + incomplete.prompt_tokens,
      completion_tokens: whole.completion_tokens + incomplete.completion_tokens,
      cost: Number(whole.cost) + Number(incomplete.cost),
    };
    const name = JSON.stringify([all.start, by && all[by]]);
    const before = rows.get(name);
    const sum = (field: string) => [field, Number(before?.[field] ?? 0) + Number(all[field])];
    rows.set(name, { ...all, ...Object.fromEntries(added.map(sum)) });
  }
  return [...rows.values()];
}

async function look(): Promise<Answer> {
  const interval = intervalOf(Date.now());
  const { start, end, by, utcOffset: utc_offset } = interval;
  const params = { query: { start, end, by, utc_offset } };
  const { data, currency, month } = await bodyOf(api.GET("/v1/usage", { params }));
  return { interval, rows: grouped(data), currency, month };
}

/** Those of the operator's charts that a tenant's report has figures for. */
const measures = (currency: string | null): Measure[] => [
  ...measuresAt("p95", currency).filter(({ title }) => !/First|Total|Errors/.test(title)),
  ...[{ title: "Refused", of: ({ refused }: Row) => Number(refused), none: 0, digits: 0 }],
  ...[{ title: "Cut off", of: ({ cut }: Row) => Number(cut), none: 0, digits: 0 }],
];

function Month({ of, currency }: { of: Answer["month"]; currency: string | null }) {
  const rows = [
    ["This key", of.key],
    ["All keys together", of.tenant],
  ] as const;
  return (
    <ScrollTable class="card" label="This month">
      <thead>
        <tr>
          <th scope="col">This month, UTC</th>
          <th scope="col" class="number">
            Tokens
          </th>
          <th scope="col" class="number">
            left
          </th>
          <th scope="col" class="number">
            Cost{currency && `, ${currency}`}
          </th>
          <th scope="col" class="number">
            left
          </th>
        </tr>
      </thead>
      <tbody>
        {rows.map(([name, { tokens, tokens_per_month, cost, cost_per_month }]) => (
          <tr key={name}>
            <th scope="row">{name}</th>
            <td class="number">{count(tokens)}</td>
            <td class="number" data-name="tokens-left">
              {tokens_per_month === null
                ? "no limit"
                : count(Math.max(0, tokens_per_month - tokens))}
            </td>
            <td class="number">{money(cost)}</td>
            <td class="number" data-name="cost-left">
              {cost_per_month === null ? "no limit" : money(left(cost_per_month, cost))}
            </td>
          </tr>
        ))}
      </tbody>
    </ScrollTable>
  );
}

function Charts({ answer: { interval, rows, currency } }: { answer: Answer }) {
  const by = grouping();
  if (rows.length === 0) {
    return (
      <Empty title="Nothing was asked in this interval">
        <p>
          Choose a longer one, or ask something in the <a href={hrefOf("playground")}>playground</a>
          .
        </p>
      </Empty>
    );
  }
  const groups = groupsOf(rows, by);
  const lines = groups.slice(0, mostGroups);
  return (
    <>
      <div class="charts">
        {measures(currency).map((measure) => (
          <Chart
            key={measure.title}
            measure={measure}
            columns={columnsOf(rows, measure, interval, by, lines)}
            groups={lines}
          />
        ))}
      </div>
      {groups.length > lines.length && (
        <p class="muted small">
          Charts show the {mostGroups} of {groups.length} with the most requests.
        </p>
      )}
    </>
  );
}

export function OwnUsagePage() {
  const usage = usePolled(look, query.value.toString(), everyMs);
  return (
    <>
      <div class="toolbar">
        <h1>My usage</h1>
        <span class="muted small">of the tenant of this tab's key, in your time zone</span>
      </div>
      <div class="toolbar controls">
        <Choice
          label="Interval"
          value={query.value.get("days") ?? "1"}
          options={Object.entries(spans)}
          take={(days) => setQuery({ days })}
        />
        <Choice
          label="By"
          value={grouping() ?? ""}
          options={[["", "all"], ...groupings.map((each) => [each, each] as const)]}
          take={(by) => setQuery({ by: by || null })}
        />
      </div>
      <Shown of={usage}>
        {(answer) => (
          <>
            <Month of={answer.month} currency={answer.currency} />
            <Charts answer={answer} />
          </>
        )}
      </Shown>
    </>
  );
}
