// Server-sent events, as OpenAI's API sends them.
import { createParser } from "eventsource-parser";

/** Characters that one event may have. */
const maxEvent = 8_000_000;
const lastData = "[DONE]";

/** The bytes of a stream. It is read to its end: its connection is then free. */
export async function* bytesOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<Uint8Array> {
  const reader = stream.getReader();
  try {
    // Not every browser iterates over streams.
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield value;
    }
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}

/** The data of events but `[DONE]`, those that arrived together at once. */
export async function* eventData(bytes: AsyncIterable<Uint8Array>): AsyncGenerator<string[]> {
  const arrived: string[] = [];
  const parser = createParser({
    onEvent: ({ data }) => arrived.push(data),
    maxBufferSize: maxEvent,
  });
  const decoder = new TextDecoder();
  for await (const piece of bytes) {
    parser.feed(decoder.decode(piece, { stream: true }));
    const data = arrived.splice(0).filter((each) => each !== lastData);
    if (data.length > 0) yield data;
  }
}

/** The JSON values of a stream of server-sent events. */
export async function* serverSentData(response: Response): AsyncGenerator<unknown> {
  if (!response.body) return;
  for await (const data of eventData(bytesOf(response.body))) {
    for (const each of data) yield JSON.parse(each);
  }
}
