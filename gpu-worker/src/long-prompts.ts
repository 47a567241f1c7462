// Long prompts are rendered and tokenized on a thread of their own: a word of a megabyte takes seconds, in which
// nobody else's answer would go on.
import { once } from "node:events";
import { Worker } from "node:worker_threads";
import type { StructureRun } from "@anabranch/native";
import {
  GenerateRequestSchema,
  TokenizeRequestSchema,
} from "@anabranch/shared/proto/anabranch/v1/worker_pb.js";
import { toBinary } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import type { TextModel } from "./model/text-model.ts";
import { type AskedPrompt, promptsOf, textBytes } from "./prompt.ts";
import type { PromptDone, PromptJob } from "./prompt-thread.ts";

/** Up to so many bytes a prompt takes some milliseconds. */
const shortBytes = 16_384;

const jobOf = (request: AskedPrompt, bare: boolean): PromptJob =>
  request.$typeName === "anabranch.v1.GenerateRequest"
    ? { kind: "generate", request: toBinary(GenerateRequestSchema, request), bare }
    : { kind: "tokenize", request: toBinary(TokenizeRequestSchema, request), bare };

export class LongPrompts {
  /** Started with the first long prompt of each model. */
  readonly #threads = new WeakMap<TextModel, Worker>();
  /** Ends with the last prompt that has come. */
  #last: Promise<unknown> = Promise.resolve();

  /**
   * The prompts of a request, as `promptsOf` gives them. Long ones take turns; one whose caller has left while it
   * waited is not read.
   */
  async of(
    model: TextModel,
    request: AskedPrompt,
    bare: boolean,
    signal: AbortSignal,
  ): Promise<StructureRun[][]> {
    if (textBytes(request) <= shortBytes) return await promptsOf(model, request, bare);
    const before = this.#last;
    const prompts = (async () => {
      await before;
      if (signal.aborted) throw new ConnectError("the caller left", Code.Canceled);
      return await this.#inThread(model, jobOf(request, bare));
    })();
    this.#last = prompts.catch(() => undefined);
    return await prompts;
  }

  async #inThread(model: TextModel, job: PromptJob): Promise<StructureRun[][]> {
    const thread = this.#threads.get(model) ?? this.#start(model);
    thread.postMessage(job);
    const [done] = (await once(thread, "message")) as [PromptDone];
    if ("prompts" in done) return done.prompts;
    throw new ConnectError(done.message, done.code);
  }

  #start(model: TextModel): Worker {
    const thread = new Worker(new URL("prompt-thread.ts", import.meta.url), {
      workerData: model.files,
    });
    // It ends with the process.
    thread.unref();
    thread.on("error", () => this.#threads.delete(model));
    this.#threads.set(model, thread);
    return thread;
  }
}
