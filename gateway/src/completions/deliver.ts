// Delivers an answer to its client, as a stream of events or whole. However it ends, usage is recorded
// once, and a client that leaves stops the workers.
import { LanesPresenter } from "../aggregation/lanes-presenter.ts";
import { OrderedPresenter } from "../aggregation/ordered-presenter.ts";
import type { AnswerRun, Presenter } from "../aggregation/presenter.ts";
import { type ApiError, asApiError } from "../api-error.ts";
import { classificationOf } from "../classifier/classification.ts";
import { version as classifierVersion } from "../classifier/classifier.ts";
import type { TenantContext } from "../http/context.ts";
import { beginAnswer, drainError } from "../http/drain.ts";
import { EventStream } from "../streams/event-stream.ts";
import type { UsageRecorder } from "../usage/usage-recorder.ts";
import type { Answer, AnswerHead } from "./answer.ts";
import type { AnswerRequest } from "./answer-request.ts";
import type { Choice } from "./choice.ts";
import { openAnswer } from "./open-answer.ts";
import type { Settings } from "./parameters.ts";
import type { Renderer } from "./renderer.ts";

/**
 * A whole answer that takes longer than this sends its head and then blanks, so that no proxy gives up on the
 * silence. Until then its status can still say that it failed, which clients retry.
 */
const silenceMs = 50_000;

function answerHeaders(answer: Answer, contentType: string): Record<string, string> {
  return {
    "content-type": contentType,
    "cache-control": "no-cache",
    "x-anabranch-cache": answer.usage.cache,
    "x-anabranch-mode": answer.usage.mode,
    ...answer.usage.reservation.headers,
  };
}

const done = "data: [DONE]\n\n";

const late = Symbol("late");
const after = (ms: number) => scheduler.wait(ms).then((): typeof late => late);

/**
 * Records the answer's usage and caches it. Only who promised to count it once waits for this: both are calls to
 * objects that handle them in order, so whoever asks after the end of the answer is behind them in the queue.
 */
async function record(answer: Answer, status: number, { waitUntil }: TenantContext): Promise<void> {
  const { usage, stored } = answer;
  const recorded = usage
    .ended(status, answer.counts, stored)
    .catch((error) => console.error(`usage of ${answer.head.id} was not recorded`, error));
  waitUntil(Promise.all([recorded, stored]));
  if (usage.once) await recorded;
}

/** The body or the last chunk of an answer, with what the classifier said of its prompt if asked for. */
function withClassification(body: object, usage: UsageRecorder, settings: Settings): object {
  if (!settings.classification || !usage.judgement) return body;
  const classification = classificationOf(usage.judgement, classifierVersion);
  const mark: object = "anabranch" in body ? (body.anabranch as object) : {};
  return { ...body, anabranch: { ...mark, classification } };
}

function deliverStream(
  answer: Answer,
  renderer: Renderer,
  settings: Settings,
  context: TenantContext,
  ended: () => Promise<void>,
): Response {
  const events = new EventStream(context.signal, { named: renderer.named });
  context.waitUntil(pump(answer, renderer, settings, context, events).finally(ended));
  const headers = answerHeaders(answer, "text/event-stream; charset=utf-8");
  return new Response(events.body, { headers: { ...headers, "x-accel-buffering": "no" } });
}

async function pump(
  answer: Answer,
  renderer: Renderer,
  settings: Settings,
  context: TenantContext,
  events: EventStream,
): Promise<void> {
  events.left.addEventListener("abort", () => answer.cancel());
  try {
    await answer.complete((choice) => pumpChoice(choice, answer, renderer, settings, events));
    await events.flush();
    if (events.left.aborted) return await record(answer, 499, context);
    await record(answer, 200, context);
    const ending = renderer.ending(answer.counts);
    await renderer.keep?.();
    if (renderer.named && ending[0]) {
      ending[0] = withClassification(ending[0], answer.usage, settings);
    }
    await events.send(ending);
    if (!renderer.named) await events.sendText(done);
  } catch (error) {
    if (events.left.aborted) return await record(answer, 499, context);
    const failure = answer.cutBy ?? asApiError(error);
    await record(answer, failure.status, context);
    await events.send([renderer.failure(failure, true)]);
    if (!renderer.named) await events.sendText(done);
  } finally {
    await events.close();
  }
}

/** Sends one choice's chunks, from its opening to its finish reason. */
async function pumpChoice(
  choice: Choice,
  { usage }: Answer,
  { named, choice: rendererOf }: Renderer,
  settings: Settings,
  events: EventStream,
): Promise<void> {
  const presenter: Presenter = settings.lanes
    ? new LanesPresenter()
    : new OrderedPresenter(choice.document);
  const renderer = rendererOf(choice.index, choice);
  let opened = false;
  let stoppedIn: AnswerRun | null = null;
  for await (const changes of choice.steps()) {
    if (events.left.aborted) return;
    if (choice.begun && !opened) await events.send(renderer.opening(presenter.openingMark));
    opened ||= choice.begun;
    const fragments = changes.flatMap((change) => presenter.push(change));
    if (fragments.length > 0) usage.firstText();
    await events.send(fragments.flatMap((fragment) => renderer.fragment(fragment)));
    await usage.reservation.renew();
    for (const change of changes) {
      if (change.kind === "finished") stoppedIn = change.stoppedIn;
    }
  }
  const closing = renderer.closing(choice.reason, presenter.closingMark?.(stoppedIn));
  const last = closing.at(-1);
  if (last && choice.index === 0 && !named) {
    closing[closing.length - 1] = withClassification(last, usage, settings);
  }
  await events.send(closing);
}

async function deliverWhole(
  answer: Answer,
  renderer: Renderer,
  settings: Settings,
  context: TenantContext,
  ended: () => Promise<void>,
): Promise<Response> {
  const headers = answerHeaders(answer, "application/json");
  const left = new AbortController();
  const leave = () => {
    left.abort();
    answer.cancel();
  };
  context.signal.addEventListener("abort", leave);
  const whole = collect(answer, renderer, settings, context, left.signal);
  const first = await Promise.race([whole, after(silenceMs)]);
  if (first !== late) {
    context.waitUntil(ended());
    context.signal.removeEventListener("abort", leave);
    if (first.failure) {
      const { status, headers } = first.failure;
      return Response.json(renderer.failure(first.failure, false), { status, headers });
    }
    return new Response(first.text, { headers });
  }
  const body = new EventStream(context.signal, { keepAlive: " " });
  body.left.addEventListener("abort", leave);
  context.waitUntil(
    whole
      .then(async ({ text, failure }) => {
        // The status is gone with the head. Every client treats a body that breaks off as a failure; most
        // would take an error object for an answer without choices.
        if (failure) return await body.abort(failure);
        await body.sendText(text);
        await body.close();
      })
      .finally(ended),
  );
  return new Response(body.body, { headers });
}

/** Never rejects. */
async function collect(
  answer: Answer,
  renderer: Renderer,
  settings: Settings,
  context: TenantContext,
  left: AbortSignal,
): Promise<{ text: string; failure: ApiError | null }> {
  try {
    await answer.complete(async (choice) => {
      for await (const changes of choice.steps()) {
        if (changes.some(({ kind }) => kind === "text")) answer.usage.firstText();
        await answer.usage.reservation.renew();
      }
    });
    await record(answer, 200, context);
    const choices = answer.choices.map((choice) =>
      renderer.choice(choice.index, choice).whole(choice.document, choice.reason),
    );
    const whole = renderer.whole(choices, answer.counts);
    await renderer.keep?.();
    const body = withClassification(whole, answer.usage, settings);
    return { text: JSON.stringify(body), failure: null };
  } catch (error) {
    const failure = answer.cutBy ?? asApiError(error);
    await record(answer, left.aborted ? 499 : failure.status, context);
    return { text: "", failure };
  }
}

/** How one endpoint renders an answer. */
export type RendererOf = (
  head: AnswerHead,
  withLogprobs: boolean,
  includeUsage: boolean,
) => Renderer;

/** Begins the answer and delivers it as the client wants it, streamed or whole. */
export function deliver(
  request: AnswerRequest,
  rendererOf: RendererOf,
  context: TenantContext,
): Promise<Response> {
  const response = openAndDeliver(request, rendererOf, context);
  // It goes on when the client has left, up to what is due then: the worker's release and the usage row.
  context.waitUntil(response.catch(() => undefined));
  return response;
}

async function openAndDeliver(
  request: AnswerRequest,
  rendererOf: RendererOf,
  context: TenantContext,
): Promise<Response> {
  let answer: Answer | null = null;
  const leaveCount = beginAnswer(() => answer?.cut(drainError()));
  try {
    answer = await openAnswer(request, context);
  } catch (error) {
    leaveCount();
    throw error;
  }
  const opened = answer;
  /** The gateway may end once this is over. */
  const ended = async () => {
    await Promise.allSettled([opened.usage.closed, opened.stored]);
    leaveCount();
  };
  const { settings } = request;
  const renderer = rendererOf(
    answer.head,
    settings.sampling.given.logprobs ?? false,
    settings.includeUsage,
  );
  return settings.stream
    ? deliverStream(answer, renderer, settings, context, ended)
    : deliverWhole(answer, renderer, settings, context, ended);
}
