// The engine's requests as they arrive on the wire, in the addon's terms.
import type { EngineRequest, Sampling, StructureRun } from "@anabranch/native";
import {
  Mode,
  type Sampling as SamplingMessage,
} from "@anabranch/shared/proto/anabranch/v1/answer_pb.js";
import type {
  EngineGenerateRequest,
  StructureRun as StructureRunMessage,
} from "@anabranch/shared/proto/anabranch/v1/engine_pb.js";

export function promptOf({ prompt }: EngineGenerateRequest): StructureRun[] {
  return prompt.map(({ serial, parallel }: StructureRunMessage) =>
    parallel.length > 0 ? { parallel: parallel.map(({ ids }) => ids) } : { serial },
  );
}

/** On the wire 0 means "off" for every field; the addon's neutral values are 1 for two of them. */
function samplingOf(message: SamplingMessage | undefined): Sampling {
  if (!message) return {};
  const { $typeName: _, logitBias, topP, repetitionPenalty, ...same } = message;
  return {
    ...same,
    topP: topP || 1,
    repetitionPenalty: repetitionPenalty || 1,
    logitBias: Object.entries(logitBias).map(([id, bias]) => [Number(id), bias] as const),
  };
}

export function requestOf(
  id: number,
  prompt: readonly StructureRun[],
  request: EngineGenerateRequest,
  defaultMaxTokens: number,
): EngineRequest {
  const { resume } = request;
  return {
    ...{ id, prompt },
    sampling: samplingOf(request.sampling),
    ...(request.adapter !== "" && { adapter: request.adapter }),
    parallel: request.mode === Mode.PARALLEL,
    maxBranches: request.maxBranches,
    maxTokens: request.maxTokens || defaultMaxTokens,
    seed: request.seed,
    choice: request.choice,
    priority: request.priority,
    cacheSalt: request.cacheSalt,
    ignoreEos: request.ignoreEos,
    deadlineMs: request.deadlineMs,
    ...(resume.length > 0 && {
      log: resume.map(({ lane, tokenIds, closed, accepted }) => ({
        ...{ lane, closed, accepted },
        tokens: tokenIds,
      })),
    }),
  };
}
