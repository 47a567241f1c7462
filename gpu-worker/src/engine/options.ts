// What an engine process is told when it starts: one JSON value on its command line.
import type { EngineOptions } from "@anabranch/native";

export interface EngineProcessOptions {
  /** Unix socket it serves gRPC on. */
  socket: string;
  modelId: string;
  defaultMaxTokens: number;
  engine: EngineOptions;
}

/** An engine process that could not load its model ends with this code: restarting won't help. */
export const EXIT_CANNOT_LOAD = 3;
