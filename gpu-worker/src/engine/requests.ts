// The engine's requests as they arrive on the wire, in the addon's terms.
import type { EngineRequest, Sampling, StructureRun } from "@anabranch/native";
import {
  Mode,
  type Sampling as SamplingMessage,
} from "@anabranch/shared/proto/anabranch/v1/answer_pb.js";
import type {
  EngineBranch,
  EngineGenerateRequest,
  StructureRun as StructureRunMessage,
} from "@anabranch/shared/proto/anabranch/v1/engine_pb.js";

function promptOf(runs: readonly StructureRunMessage[]): StructureRun[] {
  return runs.map(({ serial, parallel }: StructureRunMessage) =>
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

/** A request, or one branch of it, which has a prompt, a budget, a log and maybe a grammar of its own. */
export function requestOf(
  id: number,
  { prompt, maxTokens, resume, grammar }: EngineGenerateRequest | EngineBranch,
  request: EngineGenerateRequest,
  defaultMaxTokens: number,
): EngineRequest {
  const words = grammar.length > 0 ? grammar : request.grammar;
  return {
    ...{ id, prompt: promptOf(prompt) },
    ...(words.length > 0 && { grammar: Uint32Array.from(words) }),
    sampling: samplingOf(request.sampling),
    ...(request.adapter !== "" && { adapter: request.adapter }),
    parallel: request.mode === Mode.PARALLEL,
    maxBranches: request.maxBranches,
    maxTokens: maxTokens || defaultMaxTokens,
    seed: request.seed,
    choice: request.choice,
    priority: request.priority,
    cacheSalt: request.cacheSalt,
    ...(request.stopTokenIds.length > 0 && { stopTokens: request.stopTokenIds }),
    ignoreEos: request.ignoreEos,
    deadlineMs: request.deadlineMs,
    maxTimePerTokenMs: request.maxTimePerTokenMs,
    ...(resume.length > 0 && {
      log: resume.map(({ lane, tokenIds, closed, accepted }) => ({
        ...{ lane, closed, accepted },
        tokens: tokenIds,
      })),
    }),
  };
}
