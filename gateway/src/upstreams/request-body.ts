// A request of the pool as OpenAI's API takes it.
import { Mode } from "@anabranch/shared/proto/anabranch/v1/answer_pb.js";
import type {
  ChatInput,
  DeclaredBranch,
  GenerateRequest,
} from "@anabranch/shared/proto/anabranch/v1/worker_pb.js";
import { Code, ConnectError } from "@connectrpc/connect";
import { constraintFields, refuseTools } from "./constraint.ts";

export interface UpstreamCall {
  path: "/chat/completions" | "/completions";
  body: object;
}

/** Left out where they do nothing: not every server knows them. */
const given = (fields: Record<string, number | boolean>, neutral: number | boolean) =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== neutral));

/** A seed that every server takes, another one for each choice. */
const seedOf = ({ seed, choice }: GenerateRequest) =>
  Number(BigInt.asUintN(31, seed + BigInt(choice)));

function common(request: GenerateRequest, name: string) {
  const { sampling, stop } = request;
  return {
    model: name,
    stream: true,
    stream_options: { include_usage: true },
    max_tokens: request.maxTokens,
    seed: seedOf(request),
    ...(stop.length > 0 && { stop }),
    ...(request.stopTokenIds.length > 0 && { stop_token_ids: request.stopTokenIds }),
    ...given({ ignore_eos: request.ignoreEos }, false),
    ...given({ min_tokens: request.minTokens }, 0),
    ...(sampling && {
      temperature: sampling.temperature,
      ...given(
        {
          ...{ top_k: sampling.topK, min_p: sampling.minP },
          presence_penalty: sampling.presencePenalty,
          frequency_penalty: sampling.frequencyPenalty,
        },
        0,
      ),
      // Off: 0 or 1.
      ...given(
        { top_p: sampling.topP || 1, repetition_penalty: sampling.repetitionPenalty || 1 },
        1,
      ),
      ...(Object.keys(sampling.logitBias).length > 0 && { logit_bias: sampling.logitBias }),
    }),
  };
}

/** Our own options, for a gateway of ours. */
function options(request: GenerateRequest, branches: readonly DeclaredBranch[]) {
  return {
    stream: "lanes",
    mode: request.mode === Mode.PARALLEL ? "parallel" : "serial",
    ...given(
      {
        max_branches: request.maxBranches,
        max_time_per_token_ms: request.maxTimePerTokenMs,
      },
      0,
    ),
    ...(branches.length > 0 && {
      branches: branches.map(({ title, content, constraint }) => ({
        ...{ title, content },
        ...constraintFields(constraint, { isOurs: true, isChat: true }),
      })),
    }),
  };
}

function chatCall(
  request: GenerateRequest,
  { messages, branches, templateArguments }: ChatInput,
  name: string,
  lanes: boolean,
) {
  const { sampling } = request;
  return {
    path: "/chat/completions" as const,
    body: {
      ...common(request, name),
      ...constraintFields(request.constraint, { isOurs: lanes, isChat: true }),
      messages: messages.map(({ role, content, name: speaker }) => ({
        ...{ role, content },
        ...(speaker !== "" && { name: speaker }),
      })),
      ...(templateArguments !== "" && { chat_template_kwargs: JSON.parse(templateArguments) }),
      ...(sampling?.logprobs && { logprobs: true, top_logprobs: sampling.topLogprobs }),
      ...(lanes && { anabranch: options(request, branches) }),
    },
  };
}

/**
 * `name` is the model's name there; `lanes`: the server is a gateway of ours. Throws ConnectError for what that
 * server could not do.
 */
export function upstreamCall(request: GenerateRequest, name: string, lanes: boolean): UpstreamCall {
  const { input, sampling } = request;
  refuseTools(request);
  if (request.echo) {
    throw new ConnectError("echo: this model's server does not tell prompts", Code.InvalidArgument);
  }
  if (input.case === "chat") return chatCall(request, input.value, name, lanes);
  return {
    path: "/completions",
    body: {
      ...common(request, name),
      ...constraintFields(request.constraint, { isOurs: lanes, isChat: false }),
      prompt: input.case === "tokens" ? input.value.ids : (input.value ?? ""),
      ...(sampling?.logprobs && { logprobs: sampling.topLogprobs }),
      ...(lanes && { anabranch: options(request, []) }),
    },
  };
}
