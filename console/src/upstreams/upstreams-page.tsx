// Servers with OpenAI's API that belong to the pool.
import { useSignal } from "@preact/signals";
import { api, bodyOf, type Schemas } from "../api/client.ts";
import { Failure } from "../api/failure.ts";
import { usePolled } from "../api/polled.ts";
import { ActionButton, Confirm } from "../parts/confirm.tsx";
import { Empty, ErrorNote, Shown } from "../parts/notes.tsx";
import { ago, count, limit, when } from "../parts/numbers.ts";
import { Heads, ScrollTable } from "../parts/scroll-table.tsx";
import { UpstreamForm } from "./upstream-form.tsx";

type Upstream = Schemas["Upstream"];

const everyMs = 2_000;
const columns = [
  ...["Upstream", "State", "Models", { number: "At once" }, { number: "Tokens of an answer" }],
  ...["Lacks", "Set", ""],
];

function State({ of: { error, checked_at: checked } }: { of: Upstream }) {
  const state = error === null ? "healthy" : "unusable";
  return (
    <td class="detail">
      <span class={`status status-${state}`}>{state}</span>
      <div class="small muted">
        {error ?? `asked ${checked === null ? "not yet" : ago(Date.now() - checked)}`}
      </div>
    </td>
  );
}

interface RowProps {
  of: Upstream;
  change: () => void;
  remove: () => Promise<void>;
}

function UpstreamRow({ of, change, remove }: RowProps) {
  return (
    <tr>
      <th scope="row" class="name">
        <code>{of.id}</code>
        <div class="small muted">
          {of.url}
          {of.has_credential && ", with a credential"}
        </div>
      </th>
      <State of={of} />
      <td class="name">{of.models.join(", ")}</td>
      <td class="number">{limit(of.max_requests)}</td>
      <td class="number">{count(of.default_max_tokens)}</td>
      <td>{of.without.join(", ") || "–"}</td>
      <td>{when(of.added_at)}</td>
      <td class="actions">
        <ActionButton label="Change" of={of.id} act={change} />
        <Confirm
          label="Remove"
          of={of.id}
          question="It gets no new requests. What it answers now goes on to its end."
          act={remove}
        />
      </td>
    </tr>
  );
}

export function UpstreamsPage() {
  const upstreams = usePolled(
    () => bodyOf(api.GET("/admin/v1/upstreams")),
    ...(["upstreams", everyMs] as const),
  );
  const open = useSignal<Upstream | "new" | null>(null);
  const problem = useSignal<string | null>(null);
  const close = () => {
    open.value = null;
  };
  const remove = (id: string) => async () => {
    try {
      problem.value = null;
      await bodyOf(api.DELETE("/admin/v1/upstreams/{id}", { params: { path: { id } } }));
    } catch (error) {
      problem.value = Failure.from(error).message;
    }
    upstreams.refresh.value++;
  };
  return (
    <>
      <div class="toolbar">
        <h1>Upstreams</h1>
        <span class="muted small">servers with OpenAI's API that belong to the pool</span>
        <span class="grow" />
        <button
          type="button"
          class="primary"
          onClick={() => {
            open.value = "new";
          }}
        >
          Add an upstream
        </button>
      </div>
      {problem.value && <ErrorNote message={problem.value} />}
      {open.value && (
        <UpstreamForm
          key={open.value === "new" ? "" : open.value.id}
          of={open.value === "new" ? null : open.value}
          done={() => {
            close();
            upstreams.refresh.value++;
          }}
          cancel={close}
        />
      )}
      <Shown of={upstreams}>
        {({ upstreams: found }) =>
          found.length === 0 ? (
            <Empty title="No upstreams">
              <p>
                vLLM, SGLang, llama.cpp's server or another gateway like this one can serve models
                of this pool: add one by its base URL.
              </p>
            </Empty>
          ) : (
            <ScrollTable class="card" label="Upstreams">
              <Heads columns={columns} />
              <tbody>
                {found.map((upstream) => (
                  <UpstreamRow
                    key={upstream.id}
                    of={upstream}
                    change={() => {
                      open.value = upstream;
                    }}
                    remove={remove(upstream.id)}
                  />
                ))}
              </tbody>
            </ScrollTable>
          )
        }
      </Shown>
    </>
  );
}
