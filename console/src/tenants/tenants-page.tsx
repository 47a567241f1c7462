import { useSignal } from "@preact/signals";
import { api, bodyOf, type Schemas } from "../api/client.ts";
import { usePolled } from "../api/polled.ts";
import { ActionButton } from "../parts/confirm.tsx";
import { Empty, Shown } from "../parts/notes.tsx";
import { count, left, limit, money, when } from "../parts/numbers.ts";
import { Pager } from "../parts/pager.tsx";
import { Heads, ScrollTable } from "../parts/scroll-table.tsx";
import { hrefOf, query } from "../router.ts";
import { TenantForm } from "./tenant-form.tsx";

type Tenant = Schemas["TenantWithMonth"];

const pageSize = 50;
const columns = [
  ...["Tenant", { number: "Weight" }, { number: "Req./min" }, { number: "Tokens/min" }],
  ...[{ number: "At once" }, { number: "Tokens this month" }, { number: "Money this month" }],
  ...["Since", ""],
];

/** The page of the list that the address names, and what each has spent this month. */
async function look() {
  const after = query.value.get("after");
  const given = { limit: pageSize, ...(after && { after }) };
  const page = await bodyOf(api.GET("/admin/v1/tenants", { params: { query: given } }));
  const tenants = page.tenants.map(({ id }) =>
    bodyOf(api.GET("/admin/v1/tenants/{id}", { params: { path: { id } } })),
  );
  return { tenants: await Promise.all(tenants), next: page.next };
}

/** What was spent, and what that leaves. */
function Spent({ spent, of, left }: { spent: string; of: string | null; left: string }) {
  return (
    <td class="number">
      {spent}
      <div class="small muted">{of === null ? "no limit" : `of ${of}, ${left} left`}</div>
    </td>
  );
}

function TenantRow({ of, change }: { of: Tenant; change: () => void }) {
  const { id, month, tokens_per_month: tokens, cost_per_month: cost } = of;
  return (
    <tr>
      <th scope="row" class="name">
        <code>{id}</code>
      </th>
      <td class="number">{of.weight}</td>
      <td class="number">{limit(of.rpm)}</td>
      <td class="number">{limit(of.tpm)}</td>
      <td class="number">{limit(of.max_concurrent)}</td>
      <Spent
        spent={count(month.tokens)}
        of={tokens === null ? null : count(tokens)}
        left={count(Math.max(0, (tokens ?? 0) - month.tokens))}
      />
      <Spent
        spent={money(month.cost)}
        of={cost === null ? null : money(cost)}
        left={money(left(cost ?? "0", month.cost))}
      />
      <td>{when(1_000 * of.created_at)}</td>
      <td class="actions">
        <ActionButton label="Change" of={id} act={change} />
        <a class="button quiet" href={`${hrefOf("keys")}?tenant=${encodeURIComponent(id)}`}>
          Keys <span class="sr-only">of {id}</span>
        </a>
      </td>
    </tr>
  );
}

export function TenantsPage() {
  const tenants = usePolled(look, query.value.toString());
  const open = useSignal<Tenant | null>(null);
  const close = () => {
    open.value = null;
  };
  const newKey = `${hrefOf("keys")}?new`;
  return (
    <>
      <div class="toolbar">
        <h1>Tenants</h1>
        <span class="muted small">
          a tenant begins with its first key; revoke its keys to shut it out
        </span>
        <span class="grow" />
        <a class="button primary" href={newKey}>
          New tenant
        </a>
      </div>
      {open.value && (
        <TenantForm
          key={open.value.id}
          of={open.value}
          changed={() => {
            close();
            tenants.refresh.value++;
          }}
          cancel={close}
        />
      )}
      <Shown of={tenants}>
        {({ tenants: found, next }) =>
          found.length === 0 ? (
            <Empty title="No tenants">
              <p>
                A tenant begins with its first key: <a href={newKey}>make one</a>.
              </p>
            </Empty>
          ) : (
            <>
              <ScrollTable class="card" label="Tenants">
                <Heads columns={columns} />
                <tbody>
                  {found.map((tenant) => (
                    <TenantRow
                      key={tenant.id}
                      of={tenant}
                      change={() => {
                        open.value = tenant;
                      }}
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
