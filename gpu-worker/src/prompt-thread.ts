// The thread of long-prompts.ts: renders and tokenizes for one model, one prompt after another.
import { parentPort, workerData } from "node:worker_threads";
import type { StructureRun } from "@anabranch/native";
import {
  GenerateRequestSchema,
  TokenizeRequestSchema,
} from "@anabranch/shared/proto/anabranch/v1/worker_pb.js";
import { fromBinary } from "@bufbuild/protobuf";
import { type Code, ConnectError } from "@connectrpc/connect";
import type { ModelFiles } from "./model/model-files.ts";
import { TextModel } from "./model/text-model.ts";
import { promptsOf } from "./prompt.ts";

export interface PromptJob {
  kind: "generate" | "tokenize";
  request: Uint8Array;
  bare: boolean;
}

/** The prompts, or why there are none. */
export type PromptDone = { prompts: StructureRun[][] } | { message: string; code: Code };

const model = new TextModel(workerData as ModelFiles);

async function done({ kind, request, bare }: PromptJob): Promise<PromptDone> {
  try {
    const schema = kind === "generate" ? GenerateRequestSchema : TokenizeRequestSchema;
    return { prompts: await promptsOf(model, fromBinary(schema, request), bare) };
  } catch (error) {
    const { rawMessage, code } = ConnectError.from(error);
    return { message: rawMessage, code };
  }
}

parentPort?.on("message", async (job: PromptJob) => parentPort?.postMessage(await done(job)));
