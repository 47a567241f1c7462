// Messages of an answer as bytes: each after its length (32 bits, big-endian). A stream of them ends with an empty
// one if the answer is complete.
import {
  type GenerateResponse,
  GenerateResponseSchema,
} from "@anabranch/shared/proto/anabranch/v1/lane_events_pb.js";
import { fromBinary, toBinary } from "@bufbuild/protobuf";

const lengthBytes = 4;

/** Parts, each after its length. */
export function frame(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const size = parts.reduce((sum, part) => sum + lengthBytes + part.byteLength, 0);
  const bytes = new Uint8Array(size);
  const view = new DataView(bytes.buffer);
  let at = 0;
  for (const part of parts) {
    view.setUint32(at, part.byteLength);
    bytes.set(part, at + lengthBytes);
    at += lengthBytes + part.byteLength;
  }
  return bytes;
}

/** The parts that are whole, and where the rest begins. */
function cut(bytes: Uint8Array): { parts: Uint8Array[]; at: number } {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const parts: Uint8Array[] = [];
  let at = 0;
  while (at + lengthBytes <= bytes.byteLength) {
    const end = at + lengthBytes + view.getUint32(at);
    if (end > bytes.byteLength) break;
    parts.push(bytes.subarray(at + lengthBytes, end));
    at = end;
  }
  return { parts, at };
}

export const unframe = (bytes: Uint8Array): Uint8Array[] => cut(bytes).parts;

export const encodeMessages = (messages: readonly GenerateResponse[]): Uint8Array<ArrayBuffer> =>
  frame(messages.map((message) => toBinary(GenerateResponseSchema, message)));

export const decodeMessages = (bytes: Uint8Array): GenerateResponse[] =>
  unframe(bytes).map((part) => fromBinary(GenerateResponseSchema, part));

/** The end of a complete answer in a stream. */
export const endFrame = frame([new Uint8Array()]);

/** Messages as they arrive. The iteration throws if the stream ends before the answer does. */
export interface MessageStream {
  messages: AsyncGenerator<GenerateResponse>;
  cancel(): void;
}

export function messageStream(stream: ReadableStream<Uint8Array>): MessageStream {
  const reader = stream.getReader();
  const cancel = () => void reader.cancel().catch(() => undefined);
  return { messages: read(reader), cancel };
}

async function* read(
  reader: ReadableStreamDefaultReader<Uint8Array>,
): AsyncGenerator<GenerateResponse> {
  let rest = new Uint8Array();
  for (;;) {
    const { value: chunk } = await reader.read();
    if (!chunk) throw new Error("the request that decodes this answer was lost");
    const bytes = new Uint8Array(rest.byteLength + chunk.byteLength);
    bytes.set(rest);
    bytes.set(chunk, rest.byteLength);
    const { parts, at } = cut(bytes);
    rest = bytes.subarray(at);
    for (const part of parts) {
      if (part.byteLength === 0) return;
      yield fromBinary(GenerateResponseSchema, part);
    }
  }
}
