// Asks some worker that has a model, once: nothing is decoded.
import type { Worker } from "@anabranch/shared/proto/anabranch/v1/worker_pb.js";
import { type Client, Code, ConnectError } from "@connectrpc/connect";
import { ApiError, badField } from "../api-error.ts";
import type { PoolView } from "../pool/pool.ts";
import { isUpstream } from "../upstreams/generate.ts";
import { router } from "./router.ts";
import { credentials, workerClient } from "./worker-client.ts";
import { refusal } from "./worker-stream.ts";

const askMs = 10_000;

interface CallOptions {
  headers: Record<string, string>;
  signal: AbortSignal;
}

/**
 * The answer of the first worker with `model` that gives one. `promptField` is what the client calls its prompt.
 * Throws ApiError: a worker's refusal, or 503 if none could be reached.
 */
export async function askWorker<T>(
  view: PoolView,
  model: string,
  promptField: string,
  ask: (worker: Client<typeof Worker>, options: CallOptions) => Promise<T>,
): Promise<T> {
  const able = router.candidates(view, model);
  const workers = able.filter((worker) => !isUpstream(worker));
  if (able.length > 0 && workers.length === 0) {
    throw badField(
      "model",
      `The server of '${model}' does not tell its tokens.`,
      "unsupported_parameter",
    );
  }
  for (const worker of workers) {
    try {
      const options = { headers: credentials(worker), signal: AbortSignal.timeout(askMs) };
      return await ask(workerClient(worker.url), options);
    } catch (error) {
      const cause = ConnectError.from(error);
      const refused = refusal(cause, promptField);
      if (refused) throw refused;
      // An older worker does not know the call.
      const message = cause.code === Code.Unimplemented ? "it is too old" : cause.message;
      console.warn(`worker ${worker.id} was asked in vain: ${message}`);
    }
  }
  throw new ApiError(503, "No worker with this model can be reached; try again.", {
    code: "no_worker",
    headers: { "retry-after": "1" },
  });
}
