// Several messages of one answer as one.
import {
  type Delta,
  type Event,
  type GenerateResponse,
  GenerateResponseSchema,
} from "@anabranch/shared/proto/anabranch/v1/lane_events_pb.js";
import { create } from "@bufbuild/protobuf";

function append(to: Delta, { text, tokenIds, logprobs, visibleTokens, unnamedTokens }: Delta) {
  to.text += text;
  to.tokenIds.push(...tokenIds);
  to.logprobs.push(...logprobs);
  to.visibleTokens += visibleTokens;
  to.unnamedTokens += unnamedTokens;
}

/**
 * The events of all messages in order, but for deltas: between two other events each lane has one, at the place of its
 * first. The first message's deltas grow.
 */
export function merged(messages: readonly GenerateResponse[]): GenerateResponse {
  const [first] = messages;
  if (first && messages.length === 1) return first;
  const events: Event[] = [];
  const deltas = new Map<number, Delta>();
  for (const each of messages.flatMap((message) => message.events)) {
    if (each.event.case !== "delta") {
      deltas.clear();
      events.push(each);
      continue;
    }
    const { value } = each.event;
    const before = deltas.get(value.lane);
    if (before) {
      append(before, value);
    } else {
      deltas.set(value.lane, value);
      events.push(each);
    }
  }
  return create(GenerateResponseSchema, { events });
}
