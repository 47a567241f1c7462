// The streams of an engine's process, and what their errors are to the worker's clients.
import { Code, ConnectError } from "@connectrpc/connect";
import type { ClientReadableStream, ServiceError } from "@grpc/grpc-js";
import { ENGINE_RESTARTING, RETRY_AFTER } from "../grpc.ts";

/** Opens a stream that `signal` cancels. Throws ConnectError if there is no engine. */
export function openStream<T>(
  open: () => ClientReadableStream<T> | undefined,
  signal: AbortSignal,
): ClientReadableStream<T> {
  const stream = open();
  if (!stream) {
    const metadata = { [ENGINE_RESTARTING]: "1" };
    throw new ConnectError("the engine is restarting", Code.Unavailable, metadata);
  }
  const cancel = () => stream.cancel();
  signal.addEventListener("abort", cancel, { once: true });
  if (signal.aborted) cancel();
  return stream;
}

/** @param where stands before the engine's refusals of one branch */
export function connectError(error: Error, where = ""): ConnectError {
  if (error instanceof ConnectError || !("details" in error)) return ConnectError.from(error);
  const { code: status, details, metadata } = error as ServiceError;
  // gRPC's and Connect's codes are the same numbers.
  const code = status as unknown as Code;
  const [retryAfter] = metadata?.get(RETRY_AFTER) ?? [];
  const message = details.startsWith("branches[") ? where + details : details;
  return new ConnectError(message, code, {
    ...(retryAfter !== undefined && { [RETRY_AFTER]: String(retryAfter) }),
    ...(code === Code.Unavailable && { [ENGINE_RESTARTING]: "1" }),
  });
}
