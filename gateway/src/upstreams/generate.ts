// An answer of an upstream as a worker would stream it. It can't be continued elsewhere: what it had decoded is
// known as text alone. Whoever lost it decodes it again.
import { CloseReason, FinishReason } from "@anabranch/shared/proto/anabranch/v1/answer_pb.js";
import {
  type GenerateResponse,
  GenerateResponseSchema,
} from "@anabranch/shared/proto/anabranch/v1/lane_events_pb.js";
import {
  ChatInputSchema,
  type DeclaredBranch,
  type GenerateRequest,
  GenerateRequestSchema,
  ToolChoice,
} from "@anabranch/shared/proto/anabranch/v1/worker_pb.js";
import { eventData } from "@anabranch/shared/server-sent-data.ts";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { ApiError } from "../api-error.ts";
import type { PoolWorker } from "../pool/pool.ts";
import { bytesTogether } from "../streams/together.ts";
import { authorization } from "./check-upstream.ts";
import { ChunkReader, type EventInit, type UsageInit } from "./chunk-reader.ts";
import { merge } from "./merge.ts";
import { connectErrorOf } from "./refusal.ts";
import { upstreamCall } from "./request-body.ts";
import { callFormat } from "./tools.ts";
import type { UpstreamFacts } from "./upstream.ts";

export type UpstreamWorker = PoolWorker & { upstream: UpstreamFacts };

export const isUpstream = (worker: PoolWorker): worker is UpstreamWorker =>
  worker.upstream !== undefined;

const message = (events: EventInit[]): GenerateResponse =>
  create(GenerateResponseSchema, { events });

const heartbeat: EventInit = { event: { case: "heartbeat", value: {} } };

/** Sends one request, and returns its stream. Throws ConnectError if the upstream refuses it. */
async function post(
  { url, credential, upstream }: UpstreamWorker,
  request: GenerateRequest,
  signal: AbortSignal,
): Promise<ReadableStream<Uint8Array>> {
  const name = upstream.names[request.model];
  if (name === undefined) throw new ConnectError("it has no such model", Code.NotFound);
  const { path, body } = upstreamCall(request, name, upstream);
  const response = await fetch(`${url}${path}`, {
    method: "POST",
    headers: { "content-type": "application/json", ...authorization(credential || null) },
    body: JSON.stringify(body),
    redirect: "manual",
    signal,
  });
  if (!response.ok) throw await connectErrorOf(response);
  if (!response.body || !response.headers.get("content-type")?.startsWith("text/event-stream")) {
    throw new ConnectError("the upstream does not stream", Code.Unavailable);
  }
  return response.body;
}

/** How one completion ended. */
interface End {
  reason: FinishReason;
  usage: UsageInit | null;
  stopLane: number | undefined;
  /** Whether it has called a tool. */
  called: boolean;
}

/** The events of one completion; those that arrived together at once. */
async function* completion(
  stream: ReadableStream<Uint8Array>,
  callsTools = false,
): AsyncGenerator<EventInit[], End> {
  const reader = new ChunkReader(callsTools);
  for await (const data of eventData(bytesTogether(stream))) {
    const events = data.flatMap((each) => reader.events(each));
    if (events.length > 0) yield events;
  }
  const { reason, usage, stopLane, called } = reader;
  if (reason === null) throw new ConnectError("the upstream's stream broke off", Code.Unavailable);
  return { reason, usage, stopLane, called };
}

const callsTools = ({ input }: GenerateRequest): boolean =>
  input.case === "chat" && input.value.tools.length > 0;

function startOf(worker: UpstreamWorker, request: GenerateRequest): EventInit {
  const { seed, model } = request;
  const modelDigest = worker.models.find(({ id }) => id === model)?.digest ?? "";
  // It tells the prompt's length at the end.
  const toolFormat = callsTools(request) ? callFormat : "";
  const value = { promptTokens: 0, seed, modelDigest, backend: "upstream", toolFormat };
  return { event: { case: "started", value } };
}

function finish({ reason, usage, stopLane }: End): EventInit {
  const value = {
    reason,
    ...(usage && { usage }),
    ...(stopLane !== undefined && { stopLane }),
  };
  return { event: { case: "finished", value } };
}

/** Some servers take `tool_choice` and do not hold answers to it. */
function requireCall({ input }: GenerateRequest, { reason, called }: End): void {
  if (called || reason !== FinishReason.STOP || input.case !== "chat") return;
  if (input.value.toolChoice !== ToolChoice.REQUIRED) return;
  const message = "The server of this model called no tool, which 'tool_choice' asks for.";
  throw new ApiError(502, message, { param: "tool_choice", code: "no_tool_call" });
}

async function* one(
  worker: UpstreamWorker,
  request: GenerateRequest,
  signal: AbortSignal,
): AsyncGenerator<GenerateResponse> {
  const stream = await post(worker, request, signal);
  yield message([startOf(worker, request)]);
  const events = completion(stream, callsTools(request));
  for (;;) {
    const next = await events.next();
    if (next.done) {
      requireCall(request, next.value);
      return yield message([finish(next.value)]);
    }
    yield message(next.value);
  }
}

/** The request of one declared branch: the shared messages, then its turn. */
function branchRequest(request: GenerateRequest, branch: DeclaredBranch): GenerateRequest {
  const before = request.input.case === "chat" ? request.input.value.messages : [];
  const messages = [...before, { role: "user", content: branch.content }];
  const value = create(ChatInputSchema, { messages });
  const constraint = branch.constraint ?? request.constraint;
  return { ...request, input: { case: "chat", value }, ...(constraint && { constraint }) };
}

/** What several completions of one answer used. Each has a prompt of its own. */
function sumOf(ends: readonly End[]): UsageInit {
  const usages = ends.flatMap(({ usage }) => usage ?? []);
  const sum = (of: (usage: UsageInit) => number | undefined) =>
    usages.reduce((all, usage) => all + (of(usage) ?? 0), 0);
  return {
    promptTokens: sum(({ promptTokens }) => promptTokens),
    cachedTokens: sum(({ cachedTokens }) => cachedTokens),
    completionTokens: sum(({ completionTokens }) => completionTokens),
    visibleTokens: sum(({ visibleTokens }) => visibleTokens),
    steps: Math.max(0, ...usages.map(({ steps = 0 }) => steps)),
    stages: 1,
    branches: ends.length,
  };
}

/** Declared branches as requests at the same time. A server with a prefix cache computes what they share once. */
async function* sideBySide(
  worker: UpstreamWorker,
  request: GenerateRequest,
  branches: readonly DeclaredBranch[],
  signal: AbortSignal,
): AsyncGenerator<GenerateResponse> {
  const stage = 1;
  const streams = await Promise.all(
    branches.map((branch) => post(worker, branchRequest(request, branch), signal)),
  );
  const opened = {
    ...{ stage, declared: true },
    lanes: branches.map((_, index) => index + 1),
    titles: branches.map(({ title }) => title),
  };
  yield message([startOf(worker, request), { event: { case: "stageOpened", value: opened } }]);
  const ends: End[] = [];
  for await (const { index, next } of merge(streams.map((stream) => completion(stream)))) {
    const lane = index + 1;
    if (next.done) {
      ends.push(next.value);
      const capped = next.value.reason === FinishReason.LENGTH;
      const value = { lane, reason: capped ? CloseReason.CAP : CloseReason.EOS };
      yield message([{ event: { case: "branchClosed", value } }]);
      continue;
    }
    yield message(next.value.map((each) => inLane(each, lane)));
  }
  const capped = ends.some(({ reason }) => reason === FinishReason.LENGTH);
  const reason = capped ? FinishReason.LENGTH : FinishReason.STOP;
  yield message([
    { event: { case: "stageClosed", value: { stage } } },
    finish({ reason, usage: sumOf(ends), stopLane: undefined, called: false }),
  ]);
}

function inLane({ event }: EventInit, lane: number): EventInit {
  return event?.case === "delta"
    ? { event: { case: "delta", value: { ...event.value, lane } } }
    : heartbeat;
}

/**
 * Streams the answer of an upstream. Throws ConnectError with the codes of the Worker service. Ending the
 * iteration, or `signal`, ends the calls.
 */
export async function* generateUpstream(
  worker: UpstreamWorker,
  init: MessageInitShape<typeof GenerateRequestSchema>,
  signal: AbortSignal,
): AsyncGenerator<GenerateResponse> {
  const request = create(GenerateRequestSchema, init);
  // The head of an upstream's response may wait for its queue.
  yield message([heartbeat]);
  const left = new AbortController();
  const any = AbortSignal.any([signal, left.signal]);
  const branches = request.input.case === "chat" ? request.input.value.branches : [];
  try {
    yield* branches.length > 0 && !worker.upstream.lanes
      ? sideBySide(worker, request, branches, any)
      : one(worker, request, any);
  } finally {
    left.abort();
  }
}
