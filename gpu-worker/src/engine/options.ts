// The options of an engine process: one JSON value on its command line.
import type { EngineOptions } from "@anabranch/native";
import type { SamplingDefaults } from "@anabranch/shared/sampling-defaults.ts";

export interface EngineProcessOptions {
  /** The Unix socket on which it serves gRPC. */
  socket: string;
  modelId: string;
  defaultMaxTokens: number;
  /** Of models that branch by a dialect; absent: the gateway's own. */
  autoThreshold?: number;
  samplingDefaults: SamplingDefaults;
  /** A JSON file with OutlineRules, too large for a command line. */
  outlinePath: string;
  /** A file with the engine's `tokenBytes`; absent: no request can have a grammar. */
  tokenBytesPath?: string;
  engine: EngineOptions;
}

/** The exit code of an engine process that could not load its model: restarting does not help. */
export const EXIT_CANNOT_LOAD = 3;
