// The ids of tokens that a request names, checked before the engine sees them: it does not know what clients call them.
import type { GenerateRequest } from "@anabranch/shared/proto/anabranch/v1/worker_pb.js";
import { Code, ConnectError } from "@connectrpc/connect";
import type { TextModel } from "./model/text-model.ts";

type Limit = Pick<TextModel, "tokenLimit">;

/** Throws if the model has no such token. `field` is what clients call the ids. */
export function refuseUnknownTokens(
  { tokenLimit }: Limit,
  field: string,
  ids: readonly number[],
): void {
  const unknown = ids.find((id) => id >= tokenLimit);
  if (unknown === undefined) return;
  throw new ConnectError(
    `${field}: the model has no token ${unknown}; its ids are below ${tokenLimit}`,
    Code.InvalidArgument,
  );
}

/** The same for all ids of a request. */
export function refuseUnknownIds(model: Limit, request: GenerateRequest): void {
  const { input, stopTokenIds, sampling } = request;
  if (input.case === "tokens") refuseUnknownTokens(model, "prompt", input.value.ids);
  refuseUnknownTokens(model, "stop_token_ids", stopTokenIds);
  refuseUnknownTokens(model, "logit_bias", Object.keys(sampling?.logitBias ?? {}).map(Number));
}
