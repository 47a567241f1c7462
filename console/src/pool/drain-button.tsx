import { useSignal } from "@preact/signals";
import { api, bodyOf } from "../api/client.ts";
import { Failure } from "../api/failure.ts";
import { Confirm } from "../parts/confirm.tsx";

/** Gives a worker no new requests. */
export function DrainButton({ id, done }: { id: string; done: () => void }) {
  const problem = useSignal<string | null>(null);
  const drain = async () => {
    try {
      const params = { path: { id } };
      await bodyOf(api.POST("/admin/v1/pool/{id}/drain", { params }));
      problem.value = null;
      done();
    } catch (error) {
      problem.value = Failure.from(error).message;
    }
  };
  return (
    <>
      <Confirm
        label="Drain"
        of={id}
        question="It gets no new requests until it is started again. What it runs goes on."
        act={drain}
      />
      {problem.value && <p role="alert">{problem.value}</p>}
    </>
  );
}
