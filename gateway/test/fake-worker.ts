// A worker without an engine: it speaks the Worker service and answers as its prompt says, so that
// the gateway can be tested alone, refusals and failures included.
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import {
  CloseReason,
  FinishReason,
  type UsageSchema,
} from "@anabranch/shared/proto/anabranch/v1/answer_pb.js";
import type {
  EventSchema,
  GenerateResponseSchema,
} from "@anabranch/shared/proto/anabranch/v1/lane_events_pb.js";
import { type GenerateRequest, Worker } from "@anabranch/shared/proto/anabranch/v1/worker_pb.js";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { Code, ConnectError, type HandlerContext } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { fakeModel, type Script } from "./fake-script.ts";

type Response = MessageInitShape<typeof GenerateResponseSchema>;
type Events = MessageInitShape<typeof EventSchema>[];
type Usage = MessageInitShape<typeof UsageSchema>;

const codes = {
  invalid_argument: Code.InvalidArgument,
  out_of_range: Code.OutOfRange,
  resource_exhausted: Code.ResourceExhausted,
  unavailable: Code.Unavailable,
};

export interface FakeWorker {
  url: string;
  credential: string;
  /** Requests that began here. */
  begun: number;
  /** Of those, the ones whose caller left. */
  cancelled: number;
  running: number;
  close(): Promise<void>;
}

const words = (text: string) => text.match(/\S+\s*|\s+/g) ?? [];

function lastPrompt({ input }: GenerateRequest): string {
  if (input.case === "chat") return input.value.messages.at(-1)?.content ?? "";
  return input.case === "text" ? input.value : "";
}

function scriptOf(prompt: string): Script {
  if (!prompt.startsWith("{")) return { serial: "Hello, world. ", tail: "Bye." };
  return JSON.parse(prompt);
}

const encoder = new TextEncoder();

/** One message a step, as a worker sends them. */
function* steps(script: Script, request: GenerateRequest): Generator<Events> {
  const logprobs = request.sampling?.logprobs ?? false;
  let completionTokens = 0;
  let visibleTokens = 0;
  let stepCount = 0;
  let branches = 0;
  const delta = (lane: number, text: string, visible = true): Events[number] => {
    completionTokens++;
    if (visible) visibleTokens++;
    const tokenIds = [completionTokens];
    const spoken = { tokenId: completionTokens, logprob: -0.5, text: encoder.encode(text) };
    const shown = visible && logprobs ? [{ ...spoken, top: [spoken] }] : [];
    const value = { lane, tokenIds, text, logprobs: shown, visibleTokens: visible ? 1 : 0 };
    return { event: { case: "delta", value } };
  };
  const finish = (reason: FinishReason): Events[number] => {
    const usage: Usage = {
      promptTokens: words(lastPrompt(request)).length,
      completionTokens,
      visibleTokens,
      cachedTokens: 0,
      steps: stepCount,
      stages: branches > 0 ? 1 : 0,
      branches,
    };
    const { stopLane } = script;
    const stopped = stopLane === undefined ? {} : { stopLane };
    return { event: { case: "finished", value: { reason, usage, ...stopped } } };
  };
  const full = () => completionTokens >= request.maxTokens;

  if (script.saysSampling) yield [delta(0, JSON.stringify(request.sampling))];
  if (script.saysPriority) yield [delta(0, String(request.priority))];
  for (const word of words(script.serial ?? "")) {
    if (full()) return yield [finish(FinishReason.LENGTH)];
    stepCount++;
    yield [delta(0, word)];
  }
  if (script.stage && request.mode === 2) {
    const titles = Object.keys(script.stage);
    const lanes = titles.map((_, index) => index + 1);
    const bodies = Object.values(script.stage).map(words);
    branches = lanes.length;
    stepCount++;
    const opened = { stage: 1, lanes, titles };
    yield [
      delta(0, "", false),
      { event: { case: "stageOpened", value: opened } },
      ...lanes.map((lane) => delta(lane, "", false)),
    ];
    for (let at = 0; bodies.some((body) => at <= body.length); at++) {
      if (full()) return yield [finish(FinishReason.LENGTH)];
      stepCount++;
      const events: Events = [];
      for (const [index, body] of bodies.entries()) {
        const word = body[at];
        const lane = index + 1;
        if (word !== undefined) events.push(delta(lane, word));
        if (at === body.length) {
          events.push(delta(lane, "", false));
          if (lane === script.stopLane) continue;
          const value = { lane, reason: CloseReason.MARKER };
          events.push({ event: { case: "branchClosed", value } });
        }
      }
      yield events;
    }
    if (script.stopLane !== undefined) return yield [finish(FinishReason.STOP)];
    yield [{ event: { case: "stageClosed", value: { stage: 1 } } }, delta(0, "", false)];
  } else if (script.stage) {
    for (const word of words(Object.values(script.stage).join(""))) {
      if (full()) return yield [finish(FinishReason.LENGTH)];
      stepCount++;
      yield [delta(0, word)];
    }
  }
  for (const word of words(script.tail ?? "")) {
    if (full()) return yield [finish(FinishReason.LENGTH)];
    stepCount++;
    yield [delta(0, word)];
  }
  yield [finish(FinishReason.STOP)];
}

/** Requests, with their choice, that some fake worker of this process has been asked. */
const asked = new Set<string>();

async function* answer(
  request: GenerateRequest,
  context: HandlerContext,
  worker: FakeWorker,
): AsyncGenerator<Response> {
  if (context.requestHeader.get("authorization") !== `Bearer ${worker.credential}`) {
    throw new ConnectError("who are you", Code.Unauthenticated);
  }
  const prompt = lastPrompt(request);
  const script = scriptOf(prompt);
  const question = `${request.requestId} ${request.choice}`;
  const again = asked.has(question);
  asked.add(question);
  if (script.forgetful && again) script.serial = script.serial?.toUpperCase() ?? "";
  if (script.refuse) throw new ConnectError(script.message ?? "no", codes[script.refuse]);
  worker.begun++;
  worker.running++;
  try {
    const started = {
      promptTokens: words(prompt).length,
      seed: request.seed,
      modelDigest: fakeModel.digest,
      backend: "fake",
    };
    yield { events: [{ event: { case: "started", value: started } }] };
    for (let left = script.silentMs ?? 0; left > 0; left -= 50) {
      await sleep(50, undefined, { signal: context.signal });
      yield { events: [{ event: { case: "heartbeat", value: {} } }] };
    }
    let step = 0;
    for (const events of steps(script, request)) {
      const dies = step === script.dieAt || (step === script.dieOnceAt && !again);
      const isMeant = (script.diesAlone ?? request.choice) === request.choice;
      if (dies && isMeant) throw new ConnectError("the engine died", Code.Internal);
      if (step === script.hangOnceAt && !again) await once(context.signal, "abort");
      step++;
      if (script.stepMs) await sleep(script.stepMs, undefined, { signal: context.signal });
      yield { events };
    }
  } finally {
    worker.running--;
    if (context.signal.aborted) worker.cancelled++;
  }
}

export async function startFakeWorker(port = 0): Promise<FakeWorker> {
  const server = createServer(
    connectNodeAdapter({
      routes: (router) =>
        router.service(Worker, {
          generate: (request, context) => answer(request, context, worker),
          describe: () => {
            const kv = { kvBlocksFree: BigInt(100 - worker.running), kvBlocksTotal: 100n };
            return { models: [fakeModel], load: { runningRequests: worker.running, ...kv } };
          },
        }),
    }),
  );
  server.listen(port, "127.0.0.1");
  await once(server, "listening");
  const worker: FakeWorker = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    credential: "fake-credential",
    begun: 0,
    cancelled: 0,
    running: 0,
    async close() {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
  return worker;
}
