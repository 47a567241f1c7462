// Requests over HTTP: what is sent with each, how long silence may last, and when and how often one is sent again.
import { bytesOf } from "@anabranch/shared/server-sent-data.ts";
import { AnabranchError, ApiError, apiError, ConnectionError, TimeoutError } from "./errors.ts";
import type { RequestOptions } from "./request.ts";

export interface ClientOptions {
  /** The gateway's address, with or without `/v1`. */
  baseURL: string;
  apiKey: string;
  /** In place of the global one. */
  fetch?: (url: string, init: RequestInit) => Promise<Response>;
  /** How often a request is sent again; default 2. */
  maxRetries?: number;
  /** The longest silence of the gateway, ms; default 120,000. It says something every few hundred ms once it has begun. */
  timeout?: number;
}

/** What the headers of an answer say. */
export interface Head {
  requestId: string | null;
  /** What was decided for mode `auto`. */
  mode: string | null;
  /** `hit`: the answer had been given before. */
  cache: string | null;
}

export const headOf = ({ headers }: Response): Head => ({
  requestId: headers.get("x-request-id"),
  mode: headers.get("x-anabranch-mode"),
  cache: headers.get("x-anabranch-cache"),
});

/** One attempt at a request. */
export interface Attempt {
  response: Response;
  bytes: AsyncIterable<Uint8Array>;
}

/** The JSON value that an answer is. */
export async function jsonOf<T>({ bytes }: Attempt): Promise<T> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const piece of bytes) text += decoder.decode(piece, { stream: true });
  return JSON.parse(text) as T;
}

/** Waits before the second, third, … attempt, ms, unless the gateway says how long. */
const firstWaitMs = 500;
const longestWaitMs = 8_000;
/** A gateway that wants to be left alone for longer is not asked again. */
const longestRetryAfter = 60;

export class Transport {
  readonly #options: ClientOptions;
  readonly #base: string;

  constructor(options: ClientOptions) {
    this.#options = options;
    this.#base = options.baseURL.replace(/\/+$/, "").replace(/\/v1$/, "");
  }

  /** What `attempt` gives; again if it fails with what may pass before it has given anything. */
  async *retried<T>(
    attempt: () => AsyncIterable<T>,
    { signal, maxRetries = this.#options.maxRetries ?? 2 }: RequestOptions,
  ): AsyncGenerator<T> {
    for (let retries = 0; ; retries++) {
      let handedOn = false;
      try {
        for await (const value of attempt()) {
          handedOn = true;
          yield value;
        }
        return;
      } catch (error) {
        const wait = handedOn || retries >= maxRetries ? null : waitBefore(error, retries);
        if (wait === null) throw error;
        await sleep(wait, signal);
      }
    }
  }

  /**
   * Sends one request and hands its answer to `read`, whose values are passed on. The connection ends with the
   * reading, however that ends.
   */
  async *once<T>(
    path: string,
    init: { method: "GET" } | { method: "POST"; body: string; idempotencyKey: string | null },
    { signal, timeout = this.#options.timeout ?? 120_000 }: RequestOptions,
    read: (attempt: Attempt) => AsyncIterable<T>,
  ): AsyncGenerator<T> {
    const stop = new AbortController();
    const abort = () => stop.abort(signal?.reason);
    signal?.throwIfAborted();
    signal?.addEventListener("abort", abort);
    let requestId: string | null = null;
    let answered = false;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const heard = () => {
      clearTimeout(timer);
      timer = setTimeout(() => stop.abort(silence(timeout, requestId)), timeout);
    };
    try {
      heard();
      const response = await this.#fetch(path, init, stop.signal);
      requestId = response.headers.get("x-request-id");
      answered = true;
      heard();
      if (!response.ok) {
        const text = await response.text();
        throw apiError(response.status, parsed(text), response.headers);
      }
      yield* read({ response, bytes: watched(response, heard) });
    } catch (error) {
      if (stop.signal.aborted) throw stop.signal.reason;
      throw error instanceof AnabranchError ? error : lost(error, requestId, answered);
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener("abort", abort);
      stop.abort();
    }
  }

  #fetch(
    path: string,
    init: { method: string; body?: string; idempotencyKey?: string | null },
    signal: AbortSignal,
  ): Promise<Response> {
    const { fetch = globalThis.fetch, apiKey } = this.#options;
    const { method, body, idempotencyKey } = init;
    const headers: Record<string, string> = { authorization: `Bearer ${apiKey}` };
    if (body !== undefined) headers["content-type"] = "application/json";
    if (idempotencyKey) headers["idempotency-key"] = idempotencyKey;
    const sent = { method, headers, signal, ...(body === undefined ? {} : { body }) };
    // As a plain call: the browsers' fetch does not work as another object's method.
    return fetch(`${this.#base}${path}`, sent);
  }
}

/** The bytes of an answer. @param heard is called for each piece */
async function* watched({ body }: Response, heard: () => void): AsyncGenerator<Uint8Array> {
  if (!body) return;
  for await (const piece of bytesOf(body)) {
    heard();
    yield piece;
  }
}

const silence = (ms: number, requestId: string | null) =>
  new TimeoutError(`Nothing was heard of the gateway for ${ms} ms.`, requestId);

const lost = (cause: unknown, requestId: string | null, answered: boolean) =>
  new ConnectionError(
    answered
      ? "The connection to the gateway was lost before the answer had ended."
      : "The gateway was not reached. Is its address right, and does it run?",
    requestId,
    cause,
  );

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/** ms until the next attempt; null if there is to be none. */
function waitBefore(error: unknown, retries: number): number | null {
  // Half of it by chance, so that clients that failed together do not return together.
  const wait = Math.min(firstWaitMs * 2 ** retries, longestWaitMs) * (0.5 + Math.random() / 2);
  if (error instanceof ConnectionError) return wait;
  if (!(error instanceof ApiError) || !error.retryable) return null;
  if (error.retryAfter === null) return wait;
  return error.retryAfter > longestRetryAfter ? null : error.retryAfter * 1_000;
}

function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const abort = () => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", abort);
      resolve();
    }, ms);
    signal?.addEventListener("abort", abort, { once: true });
    if (signal?.aborted) abort();
  });
}
