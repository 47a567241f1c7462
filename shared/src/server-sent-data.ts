// Server-sent events, as OpenAI's API sends them.
import { createParser } from "eventsource-parser";

/** Characters that one event may have. */
const maxEvent = 8_000_000;
const lastData = "[DONE]";

/** Their data but `[DONE]`, those that arrived together at once. It is read to its end: its connection is then free. */
export async function* eventData(stream: ReadableStream<Uint8Array>): AsyncGenerator<string[]> {
  const arrived: string[] = [];
  const parser = createParser({
    onEvent: ({ data }) => arrived.push(data),
    maxBufferSize: maxEvent,
  });
  const decoder = new TextDecoder();
  const reader = stream.getReader();
  try {
    // Not every browser iterates over streams.
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      parser.feed(decoder.decode(value, { stream: true }));
      const data = arrived.splice(0).filter((each) => each !== lastData);
      if (data.length > 0) yield data;
    }
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}

/** The JSON values of a stream of server-sent events. */
export async function* serverSentData(response: Response): AsyncGenerator<unknown> {
  if (!response.body) return;
  for await (const data of eventData(response.body)) {
    for (const each of data) yield JSON.parse(each);
  }
}
