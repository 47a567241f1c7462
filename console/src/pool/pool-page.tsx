import { api, bodyOf, type Schemas } from "../api/client.ts";
import { usePolled } from "../api/polled.ts";
import { Empty, Shown } from "../parts/notes.tsx";
import { ago, count, when } from "../parts/numbers.ts";
import { ScrollTable } from "../parts/scroll-table.tsx";
import { DrainButton } from "./drain-button.tsx";

const everyMs = 1_000;

type Worker = Schemas["PoolWorker"];

const stateOf = ({ healthy, draining }: Worker) =>
  draining ? "draining" : healthy ? "healthy" : "silent";

const advice: Record<string, string> = {
  draining: "Takes no new requests; ends or starts again when its answers have ended.",
  silent: "Has not reported. It is not chosen until it does, and removed after ten minutes.",
};

function Kv({ worker: { kv } }: { worker: Worker }) {
  const used = kv.total - kv.free;
  return (
    <label class="bar-label">
      <span>
        KV {count(used)} of {count(kv.total)} blocks
      </span>
      <meter min={0} max={Math.max(1, kv.total)} high={kv.total * 0.9} value={used} />
    </label>
  );
}

function Served({ worker }: { worker: Worker }) {
  return (
    <ScrollTable label={`What ${worker.id} serves`}>
      <thead>
        <tr>
          <th scope="col">Model</th>
          <th scope="col">Runs on</th>
          <th scope="col">Branches</th>
          <th scope="col" class="number">
            Context
          </th>
          <th scope="col">Version</th>
        </tr>
      </thead>
      <tbody>
        {worker.served.map(({ id, backend, dialect, context_tokens, digest }) => (
          <tr key={id}>
            <td>{id}</td>
            <td>{backend}</td>
            <td>{dialect ?? "declared ones"}</td>
            <td class="number">{count(context_tokens)}</td>
            <td>
              <code title={digest}>{digest.slice(0, 12)}</code>
            </td>
          </tr>
        ))}
      </tbody>
    </ScrollTable>
  );
}

function WorkerCard({ worker, drained }: { worker: Worker; drained: () => void }) {
  const state = stateOf(worker);
  const { requests } = worker;
  // What a server that is not ours does is not known here.
  const ours = worker.kind === "worker";
  return (
    <li class={`card worker worker-${state}`}>
      <header>
        <h2>{worker.id}</h2>
        <span class={`status status-${state}`}>{state}</span>
      </header>
      {ours && advice[state] && <p class="small muted">{advice[state]}</p>}
      {ours ? (
        <>
          <dl class="facts">
            <div>
              <dt>Running</dt>
              <dd>{count(requests.running)}</dd>
            </div>
            <div>
              <dt>Queued</dt>
              <dd>{count(requests.queued)}</dd>
            </div>
            <div>
              <dt>Lanes</dt>
              <dd>{count(requests.lanes)}</dd>
            </div>
            <div>
              <dt>Seen</dt>
              <dd>{ago(Date.now() - worker.seen_at)}</dd>
            </div>
          </dl>
          <Kv worker={worker} />
        </>
      ) : (
        <p class="small muted">A server with OpenAI's API. Its load is not known here.</p>
      )}
      <Served worker={worker} />
      <p class="small muted">
        {worker.url} · registered {when(worker.registered_at)}
      </p>
      {ours && state === "healthy" && <DrainButton id={worker.id} done={drained} />}
    </li>
  );
}

export function PoolPage() {
  const pool = usePolled(() => bodyOf(api.GET("/admin/v1/pool")), "pool", everyMs);
  return (
    <>
      <div class="toolbar">
        <h1>Pool</h1>
        <span class="muted small">looked at every second</span>
      </div>
      <Shown of={pool}>
        {({ workers }) =>
          workers.length === 0 ? (
            <Empty title="No worker has registered">
              <p>Start one on any machine that reaches this gateway:</p>
              <pre>npm run worker -- --gateway {location.origin} --model MODEL</pre>
              <p>It needs the pool token in ANABRANCH_POOL_TOKEN.</p>
            </Empty>
          ) : (
            <ul class="cards">
              {workers.map((worker) => (
                <WorkerCard
                  key={worker.id}
                  worker={worker}
                  drained={() => {
                    pool.refresh.value++;
                  }}
                />
              ))}
            </ul>
          )
        }
      </Shown>
    </>
  );
}
