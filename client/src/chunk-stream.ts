// The chunks of an answer as they come, for those who keep them or draw from them.
import { eventData } from "@anabranch/shared/server-sent-data.ts";
import type { AnswerChunk } from "./chunk.ts";
import { apiError } from "./errors.ts";
import type { RequestOptions } from "./request.ts";
import { type Attempt, type Head, headOf, type Transport } from "./transport.ts";

/** Iterated over, it sends its request. One that fails before its first chunk is sent again. */
export class ChunkStream implements AsyncIterable<AnswerChunk> {
  /** Null until the first chunk. */
  head: Head | null = null;
  readonly #chunks: AsyncGenerator<AnswerChunk>;

  constructor(
    transport: Transport,
    path: string,
    init: { method: "POST"; body: string; idempotencyKey: string | null },
    options: RequestOptions,
  ) {
    const read = (attempt: Attempt) => this.#read(attempt);
    this.#chunks = transport.retried(() => transport.once(path, init, options, read), options);
  }

  [Symbol.asyncIterator](): AsyncIterator<AnswerChunk> {
    return this.#chunks;
  }

  async *#read({ response, bytes }: Attempt): AsyncGenerator<AnswerChunk> {
    this.head = headOf(response);
    for await (const arrived of eventData(bytes)) {
      for (const data of arrived) {
        const chunk = JSON.parse(data) as AnswerChunk;
        if ("error" in chunk) throw apiError(null, chunk, response.headers);
        yield chunk;
      }
    }
  }
}
