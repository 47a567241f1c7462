import { useSignal } from "@preact/signals";
import { api, bodyOf, type Schemas } from "../api/client.ts";
import { Failure } from "../api/failure.ts";
import { ActionButton, Confirm } from "../parts/confirm.tsx";
import { left, limit, money, when } from "../parts/numbers.ts";

type Key = Schemas["Key"];

/** How long the old key still works beside the one that takes its place. */
const overlapSeconds = 86_400;

interface Props {
  of: Key;
  /** Money of this month. */
  spent: string;
  /** Opens its form. */
  change: () => void;
  /** A key took the place of this one. */
  rotated: (made: Schemas["NewKey"]) => void;
  changed: () => void;
}

function Actions({ of: { id, status }, change, rotated, changed }: Props) {
  const problem = useSignal<string | null>(null);
  const params = { path: { id } };
  const act = (what: () => Promise<void>) => async () => {
    try {
      problem.value = null;
      await what();
    } catch (error) {
      problem.value = Failure.from(error).message;
    }
  };
  const body = { overlap_seconds: overlapSeconds };
  return (
    <>
      <ActionButton label="Change" of={id} act={change} />
      {status === "active" && (
        <Confirm
          label="Rotate"
          of={id}
          question="A new key with the same settings. This one works for another day."
          act={act(async () =>
            rotated(await bodyOf(api.POST("/admin/v1/keys/{id}/rotate", { params, body }))),
          )}
        />
      )}
      <Confirm
        label="Revoke"
        of={id}
        question="It stops working within two seconds, for good."
        act={act(async () => {
          await bodyOf(api.DELETE("/admin/v1/keys/{id}", { params }));
          changed();
        })}
      />
      {problem.value && <p role="alert">{problem.value}</p>}
    </>
  );
}

export function KeyRow(props: Props) {
  const { of: key, spent } = props;
  const { status, expires_at: expires, revoked_at: revoked } = key;
  const end = revoked ?? expires;
  return (
    <tr class={status === "active" ? "" : "ended"}>
      <th scope="row" class="name">
        <code>{key.id}</code>
        {key.name !== "" && <div class="small muted">{key.name}</div>}
      </th>
      <td class="name">{key.tenant}</td>
      <td>
        <span class={`status status-${status}`}>{status}</span>
      </td>
      <td>{key.scopes.join(", ")}</td>
      <td class="name">{key.models?.join(", ") ?? "all"}</td>
      <td class="number">{limit(key.rpm)}</td>
      <td class="number">{limit(key.tpm)}</td>
      <td class="number">{limit(key.max_concurrent)}</td>
      <td class="number">{limit(key.tokens_per_month)}</td>
      <td class="number">
        {key.cost_per_month === null ? "–" : money(key.cost_per_month)}
        {key.cost_per_month !== null && (
          <div class="small muted">{money(left(key.cost_per_month, spent))} left</div>
        )}
      </td>
      <td>{when(1_000 * key.created_at)}</td>
      <td>{end === null ? "never" : when(1_000 * end)}</td>
      <td class="actions">{status !== "revoked" && <Actions {...props} />}</td>
    </tr>
  );
}
