import { api, bodyOf } from "../api/client.ts";
import { usePolled } from "../api/polled.ts";
import { Empty, Shown } from "../parts/notes.tsx";
import { when } from "../parts/numbers.ts";
import { Pager } from "../parts/pager.tsx";
import { Heads, ScrollTable } from "../parts/scroll-table.tsx";
import { query } from "../router.ts";
import { TenantFilter } from "./keys-page.tsx";

const pageSize = 50;

/** The page of the log that the address names. */
function look() {
  const [tenant, before] = [query.value.get("tenant"), query.value.get("before")];
  const given = {
    ...{ limit: pageSize },
    ...(tenant && { tenant }),
    ...(before && { before: Number(before) }),
  };
  return bodyOf(api.GET("/admin/v1/audit", { params: { query: given } }));
}

const shown = (detail: Record<string, unknown>) =>
  Object.entries(detail)
    .filter(([, value]) => value !== null)
    .map(([name, value]) => `${name}: ${JSON.stringify(value)}`)
    .join(", ");

export function AuditPage() {
  const audit = usePolled(look, query.value.toString());
  return (
    <>
      <div class="toolbar">
        <h1>Audit</h1>
        <span class="muted small">what operators changed, the newest first</span>
        <span class="grow" />
        <TenantFilter />
      </div>
      <Shown of={audit}>
        {({ entries, next }) =>
          entries.length === 0 ? (
            <Empty title="Nothing was changed">
              <p>Every change of a key, a tenant, a price or an upstream is listed here.</p>
            </Empty>
          ) : (
            <>
              <ScrollTable class="card" label="Changes">
                <Heads columns={["When", "What", "Tenant", "Key", "Detail", "Request"]} />
                <tbody>
                  {entries.map((entry) => (
                    <tr key={entry.id}>
                      <td>{when(entry.at)}</td>
                      <th scope="row">{entry.action}</th>
                      <td class="name">{entry.tenant}</td>
                      <td>
                        <code>{entry.key}</code>
                      </td>
                      <td class="detail">{shown(entry.detail)}</td>
                      <td>
                        <code title={entry.request_id}>{entry.request_id.slice(0, 8)}</code>
                      </td>
                    </tr>
                  ))}
                </tbody>
              </ScrollTable>
              <Pager next={next === null ? null : String(next)} name="before" />
            </>
          )
        }
      </Shown>
    </>
  );
}
