// The tokens of a prompt, as a worker makes them for an answer.
import { Mode } from "@anabranch/shared/proto/anabranch/v1/answer_pb.js";
import type {
  TokenizeRequestSchema,
  TokenizeResponse,
} from "@anabranch/shared/proto/anabranch/v1/worker_pb.js";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { checkPromptSize, decideMode, findModel } from "../completions/admission.ts";
import type { AnswerRequest } from "../completions/answer-request.ts";
import type { TenantContext } from "../http/context.ts";
import type { Model } from "../pool/pool.ts";
import { askWorker } from "../routing/ask-worker.ts";

type Init = MessageInitShape<typeof TokenizeRequestSchema>;

/** What is asked beside the prompt. */
export type TokenOptions = Pick<Init, "bare" | "texts">;

/** A text, which is the same to every answer. */
export type TextPrompt = Pick<AnswerRequest, "model" | "prompts" | "branchBytes">;

/** Those of a text, or of an answer's prompt: of all its declared branches, what they begin with once. */
export async function tokensOf(
  prompt: TextPrompt | AnswerRequest,
  options: TokenOptions,
  context: TenantContext,
): Promise<TokenizeResponse & { model: Model }> {
  const { view, model } = await findModel(prompt.model, context);
  await context.reservation.countRequest();
  checkPromptSize(prompt, model);
  const [{ input, field }] = prompt.prompts;
  // Ids have been given; nothing else has to be asked.
  if (input.case === "tokens") throw new Error("a prompt of ids has its tokens");
  const isSerial = "settings" in prompt && decideMode(prompt, model).decision.mode === "serial";
  const asked: Init = {
    ...{ model: model.id, input: input as Init["input"] & object, ...options },
    mode: isSerial ? Mode.SERIAL : Mode.PARALLEL,
  };
  const tokens = await askWorker(view, model.id, field, (worker, call) =>
    worker.tokenize(asked, call),
  );
  return { ...tokens, model };
}
