// The prompt of an answer that begins with it, as the worker streams it.
import { FinishReason } from "@anabranch/shared/proto/anabranch/v1/answer_pb.js";
import {
  EngineEventSchema,
  type EngineGenerateRequest,
  EngineScoreRequestSchema,
  type EngineStarted,
  type VisibleToken,
} from "@anabranch/shared/proto/anabranch/v1/engine_pb.js";
import {
  type Event,
  EventSchema,
  PromptTokenSchema,
} from "@anabranch/shared/proto/anabranch/v1/lane_events_pb.js";
import type { GenerateRequest } from "@anabranch/shared/proto/anabranch/v1/worker_pb.js";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { openStream } from "./engine/streams.ts";
import type { EngineSupervisor } from "./engine/supervisor.ts";
import type { TextModel } from "./model/text-model.ts";
import type { Relay } from "./relay.ts";

const space = 0x20;

/** @param tokens scored; empty if no log-probabilities are wanted */
function echoEvent(
  text: TextModel,
  request: GenerateRequest,
  ids: readonly number[],
  tokens: readonly VisibleToken[],
): Event {
  const { input } = request;
  const shown = input.case === "text" ? input.value : text.decode(ids);
  const own = tokens.slice(input.case === "text" ? text.startTokens.length : 0);
  const value = {
    text: shown,
    tokens: own.map(({ tokenId, logprob, top }, index) => {
      const bytes = text.bytesOf(tokenId);
      // SentencePiece begins a text with a space that is not the text's.
      const added = index === 0 && bytes[0] === space && !shown.startsWith(" ");
      return create(PromptTokenSchema, {
        ...{ tokenId, text: added ? bytes.subarray(1) : bytes },
        ...(logprob !== undefined && { logprob }),
        top: top.map((each) => ({
          ...{ tokenId: each.tokenId, logprob: each.logprob, text: text.bytesOf(each.tokenId) },
        })),
      });
    }),
  };
  return create(EventSchema, { event: { case: "echo", value } });
}

export interface Echo {
  event: Event;
  /** What the engine says of itself; absent if it was not asked. */
  started?: EngineStarted;
}

/** Has the engine score the prompt, if its log-probabilities are wanted. Throws gRPC's errors and ConnectError. */
export async function echoOf(
  engine: EngineSupervisor,
  text: TextModel,
  { prompt, sampling, adapter, maxTokens }: EngineGenerateRequest,
  request: GenerateRequest,
  signal: AbortSignal,
): Promise<Echo> {
  const tokenIds = prompt.flatMap(({ serial }) => serial);
  const { logprobs = false, topLogprobs = 0 } = sampling ?? {};
  if (!logprobs && maxTokens > 0) return { event: echoEvent(text, request, tokenIds, []) };
  const asked = create(EngineScoreRequestSchema, {
    ...{ tokenIds, adapter, topLogprobs: logprobs ? topLogprobs : 0 },
  });
  const tokens: VisibleToken[] = [];
  let started: EngineStarted | undefined;
  for await (const message of openStream(() => engine.score(asked), signal)) {
    started ??= message.started;
    tokens.push(...message.tokens);
  }
  const event = echoEvent(text, request, tokenIds, logprobs ? tokens : []);
  return { event, ...(started && { started }) };
}

/** An answer of `max_tokens` 0: the prompt, and nothing after it. */
export async function echoAlone(echo: () => Promise<Echo>, relay: Relay): Promise<void> {
  const { event, started } = await echo();
  const { promptTokens = 0 } = started ?? {};
  const finished = { reason: FinishReason.LENGTH, usage: { promptTokens } };
  const engineEvent = (init: MessageInitShape<typeof EngineEventSchema>["event"] & object) =>
    create(EngineEventSchema, { event: init });
  relay.put([
    ...(started ? [engineEvent({ case: "started", value: started })] : []),
    event,
    engineEvent({ case: "finished", value: finished }),
  ]);
}
