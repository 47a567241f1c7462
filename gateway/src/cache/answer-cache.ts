// Cache entries: lane event logs, never rendered bytes, so that one entry serves every kind of stream.
import { FinishReason } from "@anabranch/shared/proto/anabranch/v1/answer_pb.js";
import {
  type GenerateResponse,
  GenerateResponseSchema,
} from "@anabranch/shared/proto/anabranch/v1/lane_events_pb.js";
import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { answersObject, type Environment } from "../environment.ts";

/** The logs of an answer's choices, in order. */
type Logs = readonly (readonly GenerateResponse[])[];

/** Parts, each after its length (32 bits, big-endian). */
function frame(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const size = parts.reduce((sum, part) => sum + 4 + part.byteLength, 0);
  const bytes = new Uint8Array(size);
  const view = new DataView(bytes.buffer);
  let at = 0;
  for (const part of parts) {
    view.setUint32(at, part.byteLength);
    bytes.set(part, at + 4);
    at += 4 + part.byteLength;
  }
  return bytes;
}

function unframe(bytes: Uint8Array): Uint8Array[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const parts: Uint8Array[] = [];
  for (let at = 0; at < bytes.byteLength; ) {
    const size = view.getUint32(at);
    parts.push(bytes.subarray(at + 4, at + 4 + size));
    at += 4 + size;
  }
  return parts;
}

const encode = (logs: Logs): ArrayBuffer =>
  frame(logs.map((log) => frame(log.map((message) => toBinary(GenerateResponseSchema, message)))))
    .buffer;

const decode = (buffer: ArrayBuffer): GenerateResponse[][] =>
  unframe(new Uint8Array(buffer)).map((log) =>
    unframe(log).map((message) => fromBinary(GenerateResponseSchema, message)),
  );

/** Every choice ran to its own end, and none was cut off. */
function areComplete(logs: Logs): boolean {
  return logs.every((log) => {
    const last = log.at(-1)?.events.at(-1)?.event;
    if (last?.case !== "finished") return false;
    return [FinishReason.STOP, FinishReason.LENGTH].includes(last.value.reason);
  });
}

/** The logs of the answer's choices, or null. A cache that fails counts as a miss. */
export async function getAnswer(
  env: Environment,
  tenantId: string,
  key: string,
): Promise<GenerateResponse[][] | null> {
  try {
    const buffer = await answersObject(env, tenantId).read(key);
    if (!buffer) return null;
    const logs = decode(buffer);
    return areComplete(logs) ? logs : null;
  } catch (error) {
    console.error("the answer cache could not be read", error);
    return null;
  }
}

/** Keeps a complete answer. Never rejects. */
export async function putAnswer(
  env: Environment,
  tenantId: string,
  key: string,
  logs: Logs,
): Promise<void> {
  if (!areComplete(logs)) return;
  try {
    await answersObject(env, tenantId).write(key, encode(logs));
  } catch (error) {
    console.error("the answer cache could not be written", error);
  }
}
