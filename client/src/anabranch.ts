// The client: one method for each thing that one asks of a gateway.
import { type Answer, answerOfCompletion } from "./answer.ts";
import { AnswerStream } from "./answer-stream.ts";
import type { Completion, Model } from "./chunk.ts";
import { ChunkStream } from "./chunk-stream.ts";
import type { AnswerRequest, AskRequest, Question, RequestOptions } from "./request.ts";
import { type ClientOptions, headOf, jsonOf, Transport } from "./transport.ts";
import type { UsageQuery, UsageReport } from "./usage-report.ts";

/** The answer to one declared question. */
export interface DeclaredAnswer {
  text: string;
  /** `length`: `max_tokens` or the context cut it. */
  finishReason: "stop" | "length";
}

const path = "/v1/chat/completions";

export class Anabranch {
  readonly #transport: Transport;

  constructor(options: ClientOptions) {
    this.#transport = new Transport(options);
  }

  /** The whole answer. @throws AnabranchError */
  async answer(request: AnswerRequest, options: RequestOptions = {}): Promise<Answer> {
    const { completion, head } = await this.#complete(request, options);
    return answerOfCompletion(completion, head);
  }

  /** The answer as it grows, its branches side by side. Nothing is sent before it is read. */
  stream(request: AnswerRequest, options: RequestOptions = {}): AnswerStream {
    return new AnswerStream(this.chunks(request, options));
  }

  /** The same as the chunks that the gateway sends. */
  chunks(request: AnswerRequest, options: RequestOptions = {}): ChunkStream {
    const anabranch = { stream: "lanes", ...request.anabranch };
    const streamed = { stream: true, stream_options: { include_usage: true }, anabranch };
    return new ChunkStream(this.#transport, path, post(request, streamed, options), options);
  }

  /**
   * Answers questions about the same messages side by side, each exactly as a request of its own would be; what they share
   * is computed once. Resolves to the answers by the questions' names.
   * @throws AnabranchError
   */
  async ask<const Name extends string>(
    { branches, ...request }: AskRequest<Name>,
    options: RequestOptions = {},
  ): Promise<Record<Name, DeclaredAnswer>> {
    const questions = Object.entries<Question>(branches);
    const declared = questions.map(([title, question]) => ({
      title,
      ...(typeof question === "string" ? { content: question } : question),
    }));
    const anabranch = { ...request.anabranch, branches: declared };
    const { completion } = await this.#complete({ ...request, anabranch }, options);
    const { parts = [], branches: ends = [] } = completion.choices[0]?.message.anabranch ?? {};
    const bodies = parts.flatMap((part) => ("parallel" in part ? part.parallel : []));
    return Object.fromEntries(
      bodies.map(({ title, body: text }, index) => [
        title,
        { text, finishReason: ends[index]?.finish_reason ?? "stop" },
      ]),
    ) as Record<Name, DeclaredAnswer>;
  }

  /** The models that the key may use. @throws AnabranchError */
  async models(options: RequestOptions = {}): Promise<Model[]> {
    return (await this.#get<{ data: Model[] }>("/v1/models", options)).data;
  }

  /** What the key's tenant used. @throws AnabranchError */
  usage(query: UsageQuery = {}, options: RequestOptions = {}): Promise<UsageReport> {
    const given = new URLSearchParams();
    for (const [name, value] of Object.entries(query)) given.set(name, String(value));
    return this.#get(`/v1/usage?${given}`, options);
  }

  async #complete(request: AnswerRequest, options: RequestOptions) {
    const init = post(request, {}, options);
    return this.#one(options, () =>
      this.#transport.once(path, init, options, async function* (attempt) {
        const completion = await jsonOf<Completion>(attempt);
        yield { completion, head: headOf(attempt.response) };
      }),
    );
  }

  #get<T>(path: string, options: RequestOptions): Promise<T> {
    return this.#one(options, () =>
      this.#transport.once(path, { method: "GET" }, options, async function* (attempt) {
        yield await jsonOf<T>(attempt);
      }),
    );
  }

  async #one<T>(options: RequestOptions, attempt: () => AsyncIterable<T>): Promise<T> {
    for await (const value of this.#transport.retried(attempt, options)) return value;
    throw new Error("a request that gave nothing");
  }
}

function post(request: AnswerRequest, fields: object, options: RequestOptions) {
  const { idempotencyKey = isShared(request) ? null : newKey() } = options;
  const { seed, ...rest } = request;
  const long = typeof seed === "bigint";
  const json = JSON.stringify({ ...rest, ...(!long && { seed }), ...fields });
  // JSON has integers of any length; JSON.stringify writes none that a number can't hold.
  const body = long ? `{"seed":${seed},${json.slice(1)}` : json;
  return { method: "POST" as const, body, idempotencyKey };
}

/**
 * Equal requests have one answer anyway, from the gateway's cache: it is decoded once however often it is asked for. A
 * key would keep it from that cache.
 */
const isShared = ({ temperature, seed, anabranch }: AnswerRequest): boolean =>
  (temperature === 0 || seed !== undefined) && anabranch?.cache !== "bypass";

/** Not crypto.randomUUID, which pages that came over plain HTTP lack. */
function newKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
