// What ends an answer, beside what the engine reads in the model's config: stop tokens of the request, and the
// tokenizer's own end token.
import type { Sampling } from "@anabranch/shared/proto/anabranch/v1/answer_pb.js";
import type { EngineGenerateRequest } from "@anabranch/shared/proto/anabranch/v1/engine_pb.js";
import type { GenerateRequest } from "@anabranch/shared/proto/anabranch/v1/worker_pb.js";
import type { TextModel } from "./model/text-model.ts";

/** Far below any logit. */
const never = -1_000;

/** The same sampling, which never gives one of `ids`. */
export const without = (sampling: Sampling, ids: readonly number[]): Sampling => ({
  ...sampling,
  logitBias: { ...sampling.logitBias, ...Object.fromEntries(ids.map((id) => [id, never])) },
});

/** For the engine's request. With `ignore_eos` the tokenizer's end token is not sampled, as those of the config. */
export function endFields(
  { endToken }: TextModel,
  { stopTokenIds, sampling, ignoreEos }: GenerateRequest,
): Partial<Pick<EngineGenerateRequest, "sampling" | "stopTokenIds">> {
  const own = endToken === undefined || stopTokenIds.includes(endToken) ? [] : [endToken];
  return {
    stopTokenIds: ignoreEos ? stopTokenIds : [...stopTokenIds, ...own],
    ...(sampling && { sampling: ignoreEos && own.length > 0 ? without(sampling, own) : sampling }),
  };
}
