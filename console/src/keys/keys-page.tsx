import { useSignal } from "@preact/signals";
import { api, bodyOf, type Schemas } from "../api/client.ts";
import { usePolled } from "../api/polled.ts";
import { Empty, Shown } from "../parts/notes.tsx";
import { Pager } from "../parts/pager.tsx";
import { Heads, ScrollTable } from "../parts/scroll-table.tsx";
import { query, setQuery } from "../router.ts";
import { KeyForm } from "./key-form.tsx";
import { KeyRow } from "./key-row.tsx";
import { Secret } from "./secret.tsx";

const pageSize = 50;
const columns = [
  ...["Key", "Tenant", "State", "For", "Models"],
  ...[{ number: "Req./min" }, { number: "Tokens/min" }, { number: "At once" }],
  ...[{ number: "Tokens/month" }, { number: "Money/month" }, "Made", "Ends", ""],
];

export function TenantFilter() {
  return (
    <label class="inline-field">
      <span>Tenant</span>
      <input
        placeholder="all"
        value={query.value.get("tenant") ?? ""}
        onChange={(event) =>
          setQuery({ tenant: event.currentTarget.value.trim() || null, after: null, before: null })
        }
      />
    </label>
  );
}

/** What keys with a budget have spent this month, by their ids. */
async function spentBy(keys: readonly Schemas["Key"][]): Promise<Record<string, string>> {
  const tenants = keys.filter((key) => key.cost_per_month !== null).map(({ tenant }) => tenant);
  const asked = [...new Set(tenants)].map(async (id) => {
    const { month } = await bodyOf(api.GET("/admin/v1/tenants/{id}", { params: { path: { id } } }));
    return month.key_costs;
  });
  return Object.assign({}, ...(await Promise.all(asked)));
}

/** The page of the list that the address names. */
async function look() {
  const [tenant, after] = [query.value.get("tenant"), query.value.get("after")];
  const given = { limit: pageSize, ...(tenant && { tenant }), ...(after && { after }) };
  const page = await bodyOf(api.GET("/admin/v1/keys", { params: { query: given } }));
  return { ...page, spent: await spentBy(page.keys) };
}

export function KeysPage() {
  const keys = usePolled(look, query.value.toString());
  /** The key whose form is open; "new": that of a new one. */
  const open = useSignal<Schemas["Key"] | "new" | null>(query.value.has("new") ? "new" : null);
  const made = useSignal<Schemas["NewKey"] | null>(null);
  const changed = () => {
    open.value = null;
    keys.refresh.value++;
  };
  const show = (key: Schemas["NewKey"]) => {
    made.value = key;
    changed();
  };
  return (
    <>
      <div class="toolbar">
        <h1>Keys</h1>
        <span class="grow" />
        <TenantFilter />
        <button
          type="button"
          class="primary"
          onClick={() => {
            open.value = "new";
          }}
        >
          New key
        </button>
      </div>
      {made.value && (
        <Secret
          made={made.value}
          close={() => {
            made.value = null;
          }}
        />
      )}
      {open.value && (
        <KeyForm
          key={open.value === "new" ? "" : open.value.id}
          of={open.value === "new" ? null : open.value}
          made={show}
          changed={changed}
          cancel={() => {
            open.value = null;
          }}
        />
      )}
      <Shown of={keys}>
        {({ keys: found, next, spent }) =>
          found.length === 0 ? (
            <Empty title="No keys">
              <p>Make one with “New key”: whoever asks the API needs one.</p>
            </Empty>
          ) : (
            <>
              <ScrollTable class="card" label="Keys">
                <Heads columns={columns} />
                <tbody>
                  {found.map((key) => (
                    <KeyRow
                      key={key.id}
                      of={key}
                      spent={spent[key.id] ?? "0"}
                      change={() => {
                        open.value = key;
                      }}
                      rotated={show}
                      changed={changed}
                    />
                  ))}
                </tbody>
              </ScrollTable>
              <Pager next={next} name="after" />
            </>
          )
        }
      </Shown>
    </>
  );
}
