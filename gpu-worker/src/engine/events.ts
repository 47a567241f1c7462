// The addon's events of one answer as the engine's wire message.
import type { EngineEvent as AddonEvent, EngineToken } from "@anabranch/native";
import { FinishReason } from "@anabranch/shared/proto/anabranch/v1/answer_pb.js";
import {
  type EngineEvent,
  EngineEventSchema,
  type EngineGenerateResponse,
  EngineGenerateResponseSchema,
  type EngineTokens,
  EngineTokensSchema,
  type VisibleToken,
  VisibleTokenSchema,
} from "@anabranch/shared/proto/anabranch/v1/engine_pb.js";
import { create, type MessageInitShape } from "@bufbuild/protobuf";

type EventInit = NonNullable<MessageInitShape<typeof EngineEventSchema>["event"]>;

function visibleToken({ id, logprob, top }: EngineToken): VisibleToken {
  return create(VisibleTokenSchema, {
    tokenId: id,
    ...(logprob === undefined ? {} : { logprob }),
    top: (top ?? []).map((each) => ({ tokenId: each.id, logprob: each.logprob })),
  });
}

/** What `started` says of the engine, beside what the addon reports. */
export interface EngineFacts {
  modelDigest: string;
  backend: string;
}

/**
 * The message for one batch of events. Consecutive tokens of a lane share one event. Lanes that grow
 * together stay step by step: a stop string may end the answer between any two events, and lanes of uneven
 * length could not be resumed then.
 */
export function messageOf(
  events: readonly AddonEvent[],
  facts: EngineFacts,
  branch = 0,
): EngineGenerateResponse {
  const out: EngineEvent[] = [];
  let last: EngineToken | undefined;
  for (const event of events) {
    if (event.kind === "finished") addFinished(event, last, out);
    else addEvent(event, facts, out);
    if (event.kind === "token") last = event.token;
  }
  return create(EngineGenerateResponseSchema, { events: out, branch });
}

type Finished = AddonEvent & { kind: "finished" };

/** `last`: the token before. A hidden one ended the answer. */
function addFinished(
  { reason, usage }: Finished,
  last: EngineToken | undefined,
  out: EngineEvent[],
) {
  const ended = reason === FinishReason.STOP && last?.visible === false;
  const end = ended && last.logprob !== undefined ? visibleToken(last) : undefined;
  add(out, { case: "finished", value: { reason, usage, ...(end && { end }) } });
}

function addEvent(
  event: Exclude<AddonEvent, Finished>,
  facts: EngineFacts,
  out: EngineEvent[],
): void {
  switch (event.kind) {
    case "started": {
      const { promptTokens, cachedTokens } = event;
      add(out, { case: "started", value: { ...facts, promptTokens, cachedTokens } });
      break;
    }
    case "token": {
      const { lane, token } = event;
      const tokens = tokensOf(lane, out);
      tokens.tokenIds.push(token.id);
      if (token.visible) tokens.visible.push(visibleToken(token));
      break;
    }
    case "released": {
      const { lane, tokens } = event;
      addTokens(lane, out).visible.push(...tokens.map(visibleToken));
      break;
    }
    case "stageOpened": {
      const { stage, outlined, lanes } = event;
      const value = {
        ...{ stage, outlined },
        lanes: lanes.map(({ lane }) => lane),
        titles: lanes.map(({ title }) => ({ ids: title })),
      };
      add(out, { case: "stageOpened", value });
      break;
    }
    case "branchAccepted":
      add(out, { case: "branchAccepted", value: { lane: event.lane } });
      break;
    case "branchClosed":
      add(out, { case: "branchClosed", value: { lane: event.lane, reason: event.reason } });
      break;
    case "stageClosed":
      add(out, { case: "stageClosed", value: { stage: event.stage } });
      break;
    case "logits":
      break;
  }
}

function add(out: EngineEvent[], event: EventInit): void {
  out.push(create(EngineEventSchema, { event }));
}

function addTokens(lane: number, out: EngineEvent[]): EngineTokens {
  const value = create(EngineTokensSchema, { lane });
  add(out, { case: "tokens", value });
  return value;
}

/** The last event if it holds tokens of this lane, else a new one. */
function tokensOf(lane: number, out: EngineEvent[]): EngineTokens {
  const last = out.at(-1)?.event;
  return last?.case === "tokens" && last.value.lane === lane ? last.value : addTokens(lane, out);
}
