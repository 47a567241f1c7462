// Chunks of a completion stream of OpenAI's, as lane events. Those of a gateway of ours say which lane they
// belong to; of any other server all text is the trunk's.
import type { LaneMark } from "@anabranch/shared/lane-mark.ts";
import { closeReasonOf } from "@anabranch/shared/lane-mark.ts";
import { FinishReason, type UsageSchema } from "@anabranch/shared/proto/anabranch/v1/answer_pb.js";
import type {
  EventSchema,
  TokenLogprobSchema,
} from "@anabranch/shared/proto/anabranch/v1/lane_events_pb.js";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { refusalOf } from "./refusal.ts";
import { type CallDelta, CallWriter } from "./tools.ts";

export type EventInit = MessageInitShape<typeof EventSchema>;
export type UsageInit = MessageInitShape<typeof UsageSchema>;
type LogprobInit = MessageInitShape<typeof TokenLogprobSchema>;

interface ChatToken {
  token: string;
  logprob: number;
  bytes?: number[] | null;
  top_logprobs?: ChatToken[];
}

interface Chunk {
  error?: unknown;
  choices?: readonly {
    delta?: { content?: string | null; tool_calls?: readonly CallDelta[] | null };
    text?: string | null;
    finish_reason?: string | null;
    logprobs?: {
      content?: ChatToken[] | null;
      tokens?: string[];
      token_logprobs?: (number | null)[];
      top_logprobs?: (Record<string, number> | null)[];
    } | null;
  }[];
  usage?: {
    prompt_tokens?: number;
    completion_tokens?: number;
    prompt_tokens_details?: { cached_tokens?: number } | null;
    anabranch?: Record<string, number>;
  } | null;
  anabranch?: LaneMark;
}

type ChunkChoice = NonNullable<Chunk["choices"]>[number];

const encoder = new TextEncoder();

const alternative = ({ token, logprob, bytes }: ChatToken) => ({
  logprob,
  text: bytes ? Uint8Array.from(bytes) : encoder.encode(token),
});

function logprobsOf({ logprobs }: ChunkChoice): LogprobInit[] {
  if (logprobs?.content) {
    return logprobs.content.map((each) => ({
      ...alternative(each),
      top: (each.top_logprobs ?? []).map(alternative),
    }));
  }
  return (logprobs?.tokens ?? []).map((token, at) => {
    const top = Object.entries(logprobs?.top_logprobs?.[at] ?? {});
    return {
      ...alternative({ token, logprob: logprobs?.token_logprobs?.[at] ?? 0 }),
      top: top.map(([text, logprob]) => alternative({ token: text, logprob })),
    };
  });
}

function usageOf({ usage }: Chunk): UsageInit | null {
  if (!usage) return null;
  const completionTokens = usage.completion_tokens ?? 0;
  const ours = usage.anabranch ?? {};
  return {
    promptTokens: usage.prompt_tokens ?? 0,
    completionTokens,
    cachedTokens: usage.prompt_tokens_details?.cached_tokens ?? 0,
    visibleTokens: ours.visible_tokens ?? completionTokens,
    // Without branches each token is a step.
    steps: ours.steps ?? completionTokens,
    stages: ours.stages ?? 0,
    branches: ours.branches ?? 0,
    outlineTokens: ours.outline_tokens ?? 0,
    droppedTokens: ours.dropped_tokens ?? 0,
  };
}

/** What a mark says beside its text. */
function structureOf(mark: LaneMark): EventInit[] {
  const { lane, stage } = mark;
  switch (mark.event) {
    case "delta":
      return [];
    case "stage_opened": {
      const { lanes = [], titles = [], outlined = false, declared = false } = mark;
      const value = { stage: stage ?? 0, lanes, titles, outlined, declared };
      return [{ event: { case: "stageOpened", value } }];
    }
    case "branch_accepted":
      return [{ event: { case: "branchAccepted", value: { lane } } }];
    case "branch_closed": {
      const value = { lane, reason: closeReasonOf(mark.reason ?? null) };
      return [{ event: { case: "branchClosed", value } }];
    }
    case "stage_closed":
      return [{ event: { case: "stageClosed", value: { stage: stage ?? 0 } } }];
  }
}

export class ChunkReader {
  readonly #calls: CallWriter | null;
  /** Once a chunk has said how the answer ended. */
  reason: FinishReason | null = null;
  usage: UsageInit | null = null;
  stopLane: number | undefined;

  /** @param callsTools whether the answer may have calls of tools, which stand in its text as `marked` has them */
  constructor(callsTools: boolean) {
    this.#calls = callsTools ? new CallWriter() : null;
  }

  /** Whether a tool was called. */
  get called(): boolean {
    return this.#calls?.called ?? false;
  }

  /**
   * The events of one chunk. How many tokens a piece of text has is known at the end only; until then it counts
   * as one.
   * @throws ConnectError if the server says that it failed
   */
  events(data: string): EventInit[] {
    const chunk = chunkOf(data);
    if (chunk.error) throw new ConnectError(refusalOf(chunk).message, Code.Internal);
    this.usage = usageOf(chunk) ?? this.usage;
    const [choice] = chunk.choices ?? [];
    if (!choice) return [];
    if (choice.finish_reason) {
      this.reason = choice.finish_reason === "length" ? FinishReason.LENGTH : FinishReason.STOP;
    }
    const { anabranch: mark } = chunk;
    if (mark?.stop_lane !== undefined) this.stopLane = mark.stop_lane;
    const text = this.#textOf(choice);
    const logprobs = logprobsOf(choice);
    const events = mark?.event ? structureOf(mark) : [];
    if (text !== "" || logprobs.length > 0) {
      const value = { lane: mark?.lane ?? 0, text, logprobs, visibleTokens: 1, unnamedTokens: 1 };
      events.push({ event: { case: "delta", value } });
    }
    return events;
  }

  #textOf({ delta, text, finish_reason: reason }: ChunkChoice): string {
    const said = delta?.content ?? text ?? "";
    if (!this.#calls) return said;
    const called = this.#calls.calls(delta?.tool_calls ?? []);
    // What max_tokens cuts stays open.
    const end = reason && reason !== "length" ? this.#calls.end() : "";
    return this.#calls.text(said) + called + end;
  }
}

function chunkOf(data: string): Chunk {
  try {
    const chunk: unknown = JSON.parse(data);
    if (typeof chunk === "object" && chunk !== null) return chunk;
  } catch {
    // Said below.
  }
  throw new ConnectError("the upstream sent an event that is no chunk", Code.Internal);
}
