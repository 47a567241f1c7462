// The tokens of a prompt, as a worker makes them for an answer.
import type {
  TokenizeRequestSchema,
  TokenizeResponse,
} from "@anabranch/shared/proto/anabranch/v1/worker_pb.js";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { checkPromptSize, findModel } from "../completions/admission.ts";
import type { AnswerRequest } from "../completions/answer-request.ts";
import type { TenantContext } from "../http/context.ts";
import type { Model } from "../pool/pool.ts";
import { askWorker } from "../routing/ask-worker.ts";

type Init = MessageInitShape<typeof TokenizeRequestSchema>;

/** What is asked beside the prompt. */
export type TokenOptions = Pick<Init, "bare" | "texts">;

/** A prompt to tokenize: an answer's, or less. */
export type Prompt = Pick<AnswerRequest, "model" | "promptField" | "prompts" | "branchBytes">;

export async function tokensOf(
  prompt: Prompt,
  options: TokenOptions,
  context: TenantContext,
): Promise<TokenizeResponse & { model: Model }> {
  const { view, model } = await findModel(prompt.model, context);
  await context.reservation.countRequest();
  checkPromptSize(prompt, model);
  const [{ input }] = prompt.prompts;
  // Ids have been given; nothing else has to be asked.
  if (input.case === "tokens") throw new Error("a prompt of ids has its tokens");
  const tokens = await askWorker(view, model.id, prompt.promptField, (worker, call) =>
    worker.tokenize({ model: model.id, input: input as Init["input"] & object, ...options }, call),
  );
  return { ...tokens, model };
}
