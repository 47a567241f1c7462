// Brings an answer to its client: as a stream of events, its choices side by side, or whole. Whatever happens on the way, the
// account is closed once, and a client that leaves stops the worker.
import { LanesPresenter } from "../aggregation/lanes-presenter.ts";
import { OrderedPresenter } from "../aggregation/ordered-presenter.ts";
import type { AnswerRun, Presenter } from "../aggregation/presenter.ts";
import { type ApiError, asApiError } from "../api-error.ts";
import { EventStream } from "../streams/event-stream.ts";
import { type Answer, type AnswerRequest, openAnswer, type Surroundings } from "./answer.ts";
import type { Choice } from "./choice.ts";
import type { Settings } from "./parameters.ts";
import type { ChoiceRenderer, Renderer } from "./renderer.ts";

/** A whole answer that takes longer than this sends its head and then blanks, so that the client's
 * leaving is noticed and nothing on the way takes the silence for death. */
const patienceMs = 1_000;

function answerHeaders(answer: Answer, contentType: string): Record<string, string> {
  return {
    "content-type": contentType,
    "cache-control": "no-cache",
    "x-request-id": answer.requestId,
    "x-anabranch-cache": answer.account.cache,
    "x-anabranch-mode": answer.account.mode,
  };
}

const late = Symbol("late");
const after = (ms: number) => scheduler.wait(ms).then((): typeof late => late);

/**
 * Sends the answer's usage and log on their way. Not awaited: both are calls to objects that take them
 * in order, so whoever asks for them after the answer's end is behind them in the queue.
 */
function record(answer: Answer, status: number, { waitUntil }: Surroundings): void {
  waitUntil(
    answer.account
      .ended(status, answer.counts)
      .catch((error) => console.error(`usage of ${answer.requestId} was lost`, error)),
  );
  waitUntil(answer.stored);
}

function deliverStream(
  answer: Answer,
  renderer: Renderer,
  settings: Settings,
  around: Surroundings,
): Response {
  const events = new EventStream(around.signal);
  around.waitUntil(pump(answer, renderer, settings, around, events));
  const headers = answerHeaders(answer, "text/event-stream; charset=utf-8");
  return new Response(events.body, { headers: { ...headers, "x-accel-buffering": "no" } });
}

async function pump(
  answer: Answer,
  renderer: Renderer,
  settings: Settings,
  around: Surroundings,
  events: EventStream,
): Promise<void> {
  events.left.addEventListener("abort", () => answer.cancel());
  try {
    await answer.complete((choice) =>
      pumpChoice(choice, answer, renderer.choice(choice.index), settings, events),
    );
    if (events.left.aborted) return record(answer, 499, around);
    record(answer, 200, around);
    if (settings.includeUsage) await events.send([renderer.usage(answer.counts)]);
    await events.sendText("data: [DONE]\n\n");
  } catch (error) {
    if (events.left.aborted) return record(answer, 499, around);
    const failure = asApiError(error);
    record(answer, failure.status, around);
    await events.send([failure.body]);
    await events.sendText("data: [DONE]\n\n");
  } finally {
    await events.close();
  }
}

/** Sends one choice's chunks, from its opening to its finish reason. */
async function pumpChoice(
  choice: Choice,
  { account }: Answer,
  renderer: ChoiceRenderer,
  settings: Settings,
  events: EventStream,
): Promise<void> {
  const presenter: Presenter = settings.lanes
    ? new LanesPresenter()
    : new OrderedPresenter(choice.document);
  const opening = renderer.opening(presenter.openingMark);
  if (opening) await events.send([opening]);
  let stoppedIn: AnswerRun | null = null;
  for await (const changes of choice.steps()) {
    if (events.left.aborted) return;
    const fragments = changes.flatMap((change) => presenter.push(change));
    if (fragments.length > 0) account.firstText();
    await events.send(fragments.map((fragment) => renderer.fragment(fragment)));
    await account.stillRunning();
    for (const change of changes) {
      if (change.kind === "finished") stoppedIn = change.stoppedIn;
    }
  }
  await events.send([renderer.closing(choice.reason, presenter.closingMark?.(stoppedIn))]);
}

async function deliverWhole(
  answer: Answer,
  renderer: Renderer,
  around: Surroundings,
): Promise<Response> {
  const headers = answerHeaders(answer, "application/json");
  const left = new AbortController();
  const leave = () => {
    left.abort();
    answer.cancel();
  };
  around.signal.addEventListener("abort", leave);
  const whole = collect(answer, renderer, around, left.signal);
  const first = await Promise.race([whole, after(patienceMs)]);
  if (first !== late) {
    around.signal.removeEventListener("abort", leave);
    if (first.failure) return first.failure.toResponse();
    return new Response(first.text, { headers });
  }
  const body = new EventStream(around.signal, " ");
  body.left.addEventListener("abort", leave);
  around.waitUntil(
    whole.then(async ({ text, failure }) => {
      // The status has left with the head. A body that breaks off is a failure to every client;
      // one that held an error would be an answer without choices to most.
      if (failure) return await body.abort(failure);
      await body.sendText(text);
      await body.close();
    }),
  );
  return new Response(body.body, { headers });
}

/** Never rejects. */
async function collect(
  answer: Answer,
  renderer: Renderer,
  around: Surroundings,
  left: AbortSignal,
): Promise<{ text: string; failure: ApiError | null }> {
  try {
    await answer.complete(async (choice) => {
      for await (const changes of choice.steps()) {
        if (changes.some(({ kind }) => kind === "text")) answer.account.firstText();
        await answer.account.stillRunning();
      }
    });
    record(answer, 200, around);
    const choices = answer.choices.map(({ index, document, reason }) =>
      renderer.choice(index).whole(document, reason),
    );
    return { text: JSON.stringify(renderer.whole(choices, answer.counts)), failure: null };
  } catch (error) {
    const failure = asApiError(error);
    record(answer, left.aborted ? 499 : failure.status, around);
    return { text: "", failure };
  }
}

/** An endpoint's way of writing one answer. */
export type RendererOf = (
  id: string,
  model: string,
  created: number,
  logprobsAsked: boolean,
  includeUsage: boolean,
) => Renderer;

/** Begins the answer to `asked` and delivers it as the client wants it, streamed or whole. */
export async function deliver(
  asked: AnswerRequest,
  rendererOf: RendererOf,
  around: Surroundings,
): Promise<Response> {
  const answer = await openAnswer(asked, around);
  const { settings } = asked;
  const renderer = rendererOf(
    answer.requestId,
    answer.model,
    answer.createdAt,
    settings.sampling.logprobs ?? false,
    settings.includeUsage,
  );
  return settings.stream
    ? deliverStream(answer, renderer, settings, around)
    : deliverWhole(answer, renderer, around);
}
