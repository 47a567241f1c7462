// protobuf-es services as grpc-js knows them, so that one descriptor serves Connect and gRPC.
import type { DescMessage, DescMethod, DescService, MessageShape } from "@bufbuild/protobuf";
import { fromBinary, toBinary } from "@bufbuild/protobuf";
import type { MethodDefinition, ServiceDefinition } from "@grpc/grpc-js";

type AnyMessage = MessageShape<DescMessage>;

function method(service: DescService, of: DescMethod): MethodDefinition<AnyMessage, AnyMessage> {
  const serialize = (schema: DescMessage) => (message: AnyMessage) =>
    Buffer.from(toBinary(schema, message));
  const deserialize = (schema: DescMessage) => (bytes: Buffer) => fromBinary(schema, bytes);
  return {
    path: `/${service.typeName}/${of.name}`,
    requestStream: of.methodKind === "client_streaming" || of.methodKind === "bidi_streaming",
    responseStream: of.methodKind === "server_streaming" || of.methodKind === "bidi_streaming",
    requestSerialize: serialize(of.input),
    requestDeserialize: deserialize(of.input),
    responseSerialize: serialize(of.output),
    responseDeserialize: deserialize(of.output),
  };
}

/** The service for `server.addService` and `makeGenericClientConstructor`. */
export function grpcService(service: DescService): ServiceDefinition {
  return Object.fromEntries(service.methods.map((m) => [m.localName, method(service, m)]));
}

/** Metadata of a refusal: the engine's process is gone, and another is about to serve. */
export const ENGINE_RESTARTING = "engine-restarting";

/** Metadata of a refusal: after how many seconds to try again. */
export const RETRY_AFTER = "retry-after";
