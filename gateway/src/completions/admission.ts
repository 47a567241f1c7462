// What is decided of a request before anything runs: its model, whether it can fit, how it is decoded.
import { type Judgement, withThreshold } from "@anabranch/shared/classifier/judge.ts";
import { outlineDialect } from "@anabranch/shared/outline.ts";
import { badField, modelNotFound, requireModel } from "../api-error.ts";
import { classify } from "../classifier/classifier.ts";
import type { TenantContext } from "../http/context.ts";
import type { Model, PoolView } from "../pool/pool.ts";
import { poolView } from "../pool/pool-view.ts";
import { router } from "../routing/router.ts";
import type { AnswerRequest } from "./answer-request.ts";
import type { Settings } from "./parameters.ts";

/**
 * A prompt with more bytes than this per token of context can't fit. It is refused here: a worker would
 * have to tokenize megabytes to say the same.
 */
const maxBytesPerToken = 64;

/** The model as this isolate knows it, else as the pool knows it now: workers join at any moment. */
export async function findModel(
  id: string,
  { env, waitUntil, caller }: TenantContext,
): Promise<{ view: PoolView; model: Model }> {
  requireModel(caller.models, id);
  const known = await poolView(env, waitUntil);
  const view =
    router.candidates(known, id).length > 0 ? known : await poolView(env, waitUntil, true);
  // A worker that is gone may have had another build of it.
  const [best] = router.candidates(view, id);
  const workers = best ? [best] : view.workers;
  const model = workers.flatMap(({ models }) => models).find((each) => each.id === id);
  if (!model) throw modelNotFound(id);
  return { view, model };
}

export function checkPromptSize(
  { prompts, branchBytes }: Pick<AnswerRequest, "prompts" | "branchBytes">,
  { contextTokens }: Model,
): void {
  if (contextTokens === 0) return;
  const check = (field: string, bytes: number) => {
    if (bytes <= contextTokens * maxBytesPerToken) return;
    throw badField(
      field,
      `The prompt has ${bytes} bytes, which is more than fits into the model's context of ${contextTokens} tokens.`,
      "context_length_exceeded",
    );
  };
  for (const { field, bytes } of prompts) check(field, bytes);
  for (const [index, bytes] of branchBytes.entries()) {
    check(`anabranch.branches[${index}]`, prompts[0].bytes + bytes);
  }
}

/** Throws if a request asks for more than the model's context has, prompt and answer together. */
export function maxTokensOf(
  { maxTokens: wanted }: Settings,
  { contextTokens, defaultMaxTokens }: Model,
): number {
  if (contextTokens === 0) return wanted ?? defaultMaxTokens;
  if (wanted !== null && wanted > contextTokens) {
    throw badField(
      "max_tokens",
      `'max_tokens' is ${wanted}: this model's maximum context length is ${contextTokens} tokens, prompt and answer together.`,
    );
  }
  return Math.min(wanted ?? defaultMaxTokens, contextTokens);
}

export interface Decision {
  mode: "serial" | "parallel";
  /** Whether the classifier decided. */
  classified: boolean;
}

/** How the answer is decoded, and what the classifier says of its prompt; null if that has no question. */
export function decideMode(
  request: AnswerRequest,
  model: Model,
): { decision: Decision; judgement: Judgement | null } {
  const { question, turn } = request;
  const judged = question === null ? null : classify(question, turn);
  const { autoThreshold } = model;
  const judgement =
    judged && autoThreshold !== undefined ? withThreshold(judged, autoThreshold) : judged;
  return { decision: decisionOf(request, model, judgement), judgement };
}

function decisionOf(
  request: AnswerRequest,
  { dialect }: Model,
  judgement: Judgement | null,
): Decision {
  const { settings, prompts, branchBytes } = request;
  const [{ input }] = prompts;
  const decided = (mode: Decision["mode"]): Decision => ({ mode, classified: false });
  // Each declared branch is decoded serially, and so is an answer of a given form, or one that may call tools.
  const hasTools = input.case === "chat" && (input.value.tools ?? []).length > 0;
  const isOne = branchBytes.length > 0 || settings.constraint !== undefined || hasTools;
  if (dialect === "" || isOne) return decided("serial");
  // What evaluates a model asks for texts, not for answers.
  const isMeasured = prompts.length > 1 || settings.echo || settings.minTokens > 0;
  if (isMeasured && settings.mode === "auto") return decided("serial");
  // An outline costs little where nothing comes of it. Plain text need not be an answer.
  if (dialect === outlineDialect && settings.mode === "auto") {
    return decided(input.case === "chat" ? "parallel" : "serial");
  }
  if (settings.mode === "auto" && judgement !== null) {
    return { mode: judgement.mode, classified: true };
  }
  return decided(settings.mode === "serial" ? "serial" : "parallel");
}
