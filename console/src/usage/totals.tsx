import { count, decimals } from "../parts/numbers.ts";
import { ScrollTable } from "../parts/scroll-table.tsx";
import type { Percentile, Row } from "./measures.ts";

const counted: [name: string, label: string][] = [
  ["requests", "Requests"],
  ["succeeded", "Whole"],
  ["abandoned", "Left"],
  ["refused", "Refused"],
  ["failed", "Failed"],
  ["cache_hits", "Cache hits"],
  ["prompt_tokens", "Prompt tokens"],
  ["cached_tokens", "of these cached"],
  ["completion_tokens", "Written tokens"],
  ["branches", "Branches"],
];

const numberOf = (row: Row, name: string) => Number(row[name] ?? 0);
const ms = (row: Row, name: string) => (row[name] === null ? "–" : count(numberOf(row, name)));

/** The whole interval, a row for each group. */
export function Totals({
  rows,
  by,
  at,
  currency,
}: {
  rows: readonly Row[];
  by: string | null;
  at: Percentile;
  currency: string | null;
}) {
  return (
    <ScrollTable class="card" label="Totals">
      <thead>
        <tr>
          {by !== null && <th scope="col">{by}</th>}
          {counted.map(([name, label]) => (
            <th key={name} scope="col" class="number">
              {label}
            </th>
          ))}
          <th scope="col" class="number">
            Tokens a step
          </th>
          <th scope="col" class="number">
            First text {at}, ms
          </th>
          <th scope="col" class="number">
            Total {at}, ms
          </th>
          {currency !== null && (
            <th scope="col" class="number">
              Cost, {currency}
            </th>
          )}
        </tr>
      </thead>
      <tbody>
        {rows.map((row) => (
          <tr key={by === null ? "all" : row[by]}>
            {by !== null && <th scope="row">{row[by] ?? "none"}</th>}
            {counted.map(([name]) => (
              <td key={name} class="number" data-name={name}>
                {count(numberOf(row, name))}
              </td>
            ))}
            <td class="number">
              {numberOf(row, "steps") > 0
                ? decimals(numberOf(row, "visible_tokens") / numberOf(row, "steps"))
                : "–"}
            </td>
            <td class="number">{ms(row, `first_text_ms_${at}`)}</td>
            <td class="number">{ms(row, `total_ms_${at}`)}</td>
            {currency !== null && (
              <td class="number" data-name="cost">
                {row.cost}
              </td>
            )}
          </tr>
        ))}
      </tbody>
    </ScrollTable>
  );
}
