// An answer with `min_tokens`: until it has so many, nothing that ends it is sampled. Then it goes on as one that
// another engine began.
import { FinishReason, LaneLogSchema } from "@anabranch/shared/proto/anabranch/v1/answer_pb.js";
import type {
  EngineEvent,
  EngineGenerateRequest,
  EngineGenerateResponse,
} from "@anabranch/shared/proto/anabranch/v1/engine_pb.js";
import { create } from "@bufbuild/protobuf";
import { without } from "./end-tokens.ts";
import { openStream } from "./engine/streams.ts";
import type { EngineSupervisor } from "./engine/supervisor.ts";

/** The same request for its first tokens. */
export function firstPart(request: EngineGenerateRequest, least: number): EngineGenerateRequest {
  const { sampling, stopTokenIds } = request;
  return {
    ...request,
    ...(sampling && { sampling: without(sampling, stopTokenIds) }),
    maxTokens: Math.min(least, request.maxTokens),
    ignoreEos: true,
    stopTokenIds: [],
  };
}

/** The tokens of the only lane so far, and what the engine said when it began. */
class Begun {
  readonly tokenIds: number[] = [];
  digest = "";
  cachedTokens = 0;

  add(events: readonly EngineEvent[]): void {
    for (const { event } of events) {
      if (event.case === "tokens") this.tokenIds.push(...event.value.tokenIds);
      if (event.case !== "started") continue;
      this.digest = event.value.modelDigest;
      this.cachedTokens = event.value.cachedTokens;
    }
  }
}

/** Takes away the first tokens, which have been passed on. */
function skipper(count: number): (event: EngineEvent) => EngineEvent[] {
  let left = count;
  return (each) => {
    const { event } = each;
    if (event.case === "started") return [];
    if (event.case !== "tokens" || left === 0) return [each];
    const skipped = Math.min(left, event.value.tokenIds.length);
    left -= skipped;
    const tokenIds = event.value.tokenIds.slice(skipped);
    const visible = event.value.visible.slice(skipped);
    return tokenIds.length === 0
      ? []
      : [{ ...each, event: { case: "tokens", value: { ...event.value, tokenIds, visible } } }];
  };
}

/**
 * The engine's messages of a serial `request` whose first part is `first`. `isStopped` says that a stop string has
 * ended it meanwhile.
 * @throws gRPC's errors, and ConnectError if there is no engine
 */
export async function* atLeast(
  engine: EngineSupervisor,
  request: EngineGenerateRequest,
  first: EngineGenerateRequest,
  isStopped: () => boolean,
  signal: AbortSignal,
): AsyncGenerator<EngineGenerateResponse> {
  const began = performance.now();
  const begun = new Begun();
  const [logged] = request.resume;
  if (logged && logged.tokenIds.length >= first.maxTokens) {
    return yield* openStream(() => engine.generate(request), signal);
  }
  let end: EngineGenerateResponse | undefined;
  for await (const message of openStream(() => engine.generate(first), signal)) {
    const last = message.events.at(-1);
    const ends = last?.event.case === "finished";
    const events = ends ? message.events.slice(0, -1) : message.events;
    begun.add(events);
    if (events.length > 0) yield { ...message, events };
    if (ends) end = { ...message, events: [last] };
  }
  const finished = end?.events[0]?.event;
  const goesOn =
    finished?.case === "finished" &&
    finished.value.reason === FinishReason.LENGTH &&
    begun.tokenIds.length === first.maxTokens &&
    first.maxTokens < request.maxTokens &&
    // By a stop string in what has been read by now.
    !isStopped();
  if (!goesOn) {
    if (end) yield end;
    return;
  }
  const { tokenIds, digest, cachedTokens } = begun;
  const passed = Math.round(performance.now() - began);
  const rest: EngineGenerateRequest = {
    ...request,
    resume: [create(LaneLogSchema, { lane: 0, tokenIds })],
    modelDigest: digest,
    deadlineMs: request.deadlineMs > 0 ? Math.max(1, request.deadlineMs - passed) : 0,
  };
  const skip = skipper(tokenIds.length);
  for await (const message of openStream(() => engine.generate(rest), signal)) {
    const events = message.events.flatMap(skip);
    for (const { event } of events) {
      if (event.case === "finished" && event.value.usage) {
        event.value.usage.cachedTokens = cachedTokens;
      }
    }
    if (events.length > 0) yield { ...message, events };
  }
}
