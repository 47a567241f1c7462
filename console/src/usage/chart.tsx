// One measure over time: a line for each group, and the same numbers as a table.
import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import { ScrollTable } from "../parts/scroll-table.tsx";
import { themeName } from "../theme.tsx";
import type { Columns, Measure } from "./measures.ts";

/** Told apart in light and dark, and by those who see fewer colours. */
const colours = ["#1288a0", "#d17f1f", "#7d63c9", "#3c9a5f", "#c84c72", "#7a868c"];
const height = 180;

const wholeSteps = Array.from({ length: 10 }, (_, power) =>
  [1, 2, 5].map((n) => n * 10 ** power),
).flat();

const shown = (value: number | null | undefined, digits: number): string =>
  value === null || value === undefined
    ? "–"
    : value.toLocaleString("en", { maximumFractionDigits: digits });

const styleOf = (element: Element, name: string) =>
  getComputedStyle(element).getPropertyValue(name);

function optionsOf(place: HTMLElement, measure: Measure, groups: readonly string[]): uPlot.Options {
  const [ink, line] = [styleOf(place, "color"), styleOf(place, "border-top-color")];
  const axis = { stroke: ink, grid: { stroke: line, width: 1 }, ticks: { show: false } };
  return {
    width: place.clientWidth,
    height,
    cursor: { y: false },
    legend: { live: true },
    scales: { y: { range: (_, __, most) => [0, most > 0 ? most * 1.1 : 1] } },
    axes: [
      axis,
      {
        ...axis,
        size: 56,
        // Nothing but whole numbers where whole things are counted.
        ...(measure.digits === 0 && { incrs: wholeSteps }),
        values: (_, ticks) => ticks.map((tick) => shown(tick, measure.digits)),
      },
    ],
    series: [
      { label: "Time", value: "{YYYY}-{MM}-{DD} {HH}:{mm}" },
      ...groups.map((label, index) => ({
        label,
        stroke: colours[index % colours.length] ?? ink,
        width: 2,
        points: { show: true, size: 5 },
        value: (_: uPlot, value: number | null) => shown(value, measure.digits),
      })),
    ],
  };
}

const time = new Intl.DateTimeFormat("en-CA", {
  ...{ year: "numeric", month: "2-digit", day: "2-digit" },
  ...{ hour: "2-digit", minute: "2-digit", hourCycle: "h23" },
});

interface Props {
  measure: Measure;
  columns: Columns;
  groups: readonly string[];
}

function Numbers({ measure, columns: [times, ...values], groups }: Props) {
  return (
    <ScrollTable class="chart-numbers" label={`${measure.title} over time`}>
      <thead>
        <tr>
          <th scope="col">Time</th>
          {groups.map((group) => (
            <th key={group} scope="col" class="number">
              {group}
            </th>
          ))}
        </tr>
      </thead>
      <tbody>
        {times.map((start, index) => (
          <tr key={start}>
            <th scope="row">{time.format(1_000 * start)}</th>
            {values.map((column, group) => (
              <td key={groups[group]} class="number">
                {shown(column[index], measure.digits)}
              </td>
            ))}
          </tr>
        ))}
      </tbody>
    </ScrollTable>
  );
}

export function Chart(props: Props) {
  const { measure, columns, groups } = props;
  const place = useRef<HTMLDivElement>(null);
  const chart = useRef<uPlot | null>(null);
  const asTable = useSignal(false);
  const theme = themeName.value;
  // A chart is made anew for other groups and colours; other numbers go into the one that is there.
  const names = groups.join("\n");
  useEffect(() => {
    const at = place.current;
    if (!at) return;
    const made = new uPlot(optionsOf(at, measure, groups), columns, at);
    chart.current = made;
    const resized = new ResizeObserver(() => made.setSize({ width: at.clientWidth, height }));
    resized.observe(at);
    return () => {
      resized.disconnect();
      made.destroy();
      chart.current = null;
    };
  }, [names, theme, measure.title, measure.hint, asTable.value]);
  useEffect(() => {
    chart.current?.setData(columns);
  }, [columns]);
  return (
    <figure class="card chart">
      <figcaption>
        <h2>{measure.title}</h2>
        {measure.hint && <span class="muted small">{measure.hint}</span>}
        <span class="grow" />
        <button
          type="button"
          class="quiet small"
          aria-pressed={asTable.value}
          onClick={() => {
            asTable.value = !asTable.value;
          }}
        >
          Table<span class="sr-only"> of {measure.title}</span>
        </button>
      </figcaption>
      {asTable.value ? <Numbers {...props} /> : <div ref={place} class="plot" aria-hidden="true" />}
    </figure>
  );
}
