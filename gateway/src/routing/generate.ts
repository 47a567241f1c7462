// Asks a worker of the pool for an answer, in the protocol that it speaks.
import type { GenerateResponse } from "@anabranch/shared/proto/anabranch/v1/lane_events_pb.js";
import type { GenerateRequestSchema } from "@anabranch/shared/proto/anabranch/v1/worker_pb.js";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import type { PoolWorker } from "../pool/pool.ts";
import { generateUpstream, isUpstream } from "../upstreams/generate.ts";
import { router } from "./router.ts";
import { credentials, workerClient } from "./worker-client.ts";

export type WorkerRequest = MessageInitShape<typeof GenerateRequestSchema>;

/** Throws ConnectError, at once or while it is read. `signal` ends the answer at its next step. */
export function generate(
  worker: PoolWorker,
  request: WorkerRequest,
  signal: AbortSignal,
): AsyncIterable<GenerateResponse> {
  if (!isUpstream(worker)) {
    return workerClient(worker.url).generate(request, { headers: credentials(worker), signal });
  }
  const { maxRequests } = worker.upstream;
  // This request counts already.
  if (maxRequests !== null && router.runningOn(worker.id) > maxRequests) {
    throw new ConnectError(`it takes ${maxRequests} requests at once`, Code.ResourceExhausted);
  }
  return generateUpstream(worker, request, signal);
}
