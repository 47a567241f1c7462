// Cache entries: lane event logs, never rendered bytes, so that one entry serves every kind of stream.
import {
  FinishReason,
  type GenerateResponse,
  GenerateResponseSchema,
} from "@anabranch/shared/proto/anabranch/v1/generate_pb.js";
import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { answersObject, type Environment } from "../environment.ts";

/** Each message behind its length (32 bits, big-endian). */
function encode(log: readonly GenerateResponse[]): ArrayBuffer {
  const parts = log.map((message) => toBinary(GenerateResponseSchema, message));
  const size = parts.reduce((sum, part) => sum + 4 + part.byteLength, 0);
  const buffer = new ArrayBuffer(size);
  const view = new DataView(buffer);
  const bytes = new Uint8Array(buffer);
  let at = 0;
  for (const part of parts) {
    view.setUint32(at, part.byteLength);
    bytes.set(part, at + 4);
    at += 4 + part.byteLength;
  }
  return buffer;
}

function decode(buffer: ArrayBuffer): GenerateResponse[] {
  const view = new DataView(buffer);
  const log: GenerateResponse[] = [];
  for (let at = 0; at < buffer.byteLength; ) {
    const size = view.getUint32(at);
    log.push(fromBinary(GenerateResponseSchema, new Uint8Array(buffer, at + 4, size)));
    at += 4 + size;
  }
  return log;
}

/** An answer that ran to its own end, not one that was cut off. */
function isComplete(log: readonly GenerateResponse[]): boolean {
  const last = log.at(-1)?.events.at(-1)?.event;
  if (last?.case !== "finished") return false;
  return [FinishReason.STOP, FinishReason.LENGTH].includes(last.value.reason);
}

/** The answer's log, or null. A cache that fails is a cache that misses. */
export async function recall(
  env: Environment,
  tenantId: string,
  key: string,
): Promise<GenerateResponse[] | null> {
  try {
    const buffer = await answersObject(env, tenantId).read(key);
    if (!buffer) return null;
    const log = decode(buffer);
    return isComplete(log) ? log : null;
  } catch (error) {
    console.error("the answer cache could not be read", error);
    return null;
  }
}

export async function remember(
  env: Environment,
  tenantId: string,
  key: string,
  log: readonly GenerateResponse[],
): Promise<void> {
  if (!isComplete(log)) return;
  try {
    await answersObject(env, tenantId).write(key, encode(log));
  } catch (error) {
    console.error("the answer cache could not be written", error);
  }
}
