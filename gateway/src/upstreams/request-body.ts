// A request of the pool as OpenAI's API takes it.
import { Mode } from "@anabranch/shared/proto/anabranch/v1/answer_pb.js";
import type {
  ChatInput,
  DeclaredBranch,
  GenerateRequest,
} from "@anabranch/shared/proto/anabranch/v1/worker_pb.js";
import { Code, ConnectError } from "@connectrpc/connect";
import { constraintFields, refuse } from "./constraint.ts";
import { meetsTools, messageFields, toolFields } from "./tools.ts";
import type { Lack, UpstreamFacts } from "./upstream.ts";

export interface UpstreamCall {
  path: "/chat/completions" | "/completions";
  body: object;
}

type Server = Pick<UpstreamFacts, "lanes" | "without">;

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
function options(
  request: GenerateRequest,
  branches: readonly DeclaredBranch[],
  without: readonly Lack[],
) {
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
        ...constraintFields(constraint, { isOurs: true, isChat: true, without }),
      })),
    }),
  };
}

function chatCall(
  request: GenerateRequest,
  chat: ChatInput,
  name: string,
  { lanes, without = [] }: Server,
) {
  const { messages, branches, templateArguments } = chat;
  const { sampling } = request;
  if (without.includes("tools") && meetsTools(chat)) refuse("tools: they are not supported");
  return {
    path: "/chat/completions" as const,
    body: {
      ...common(request, name),
      ...constraintFields(request.constraint, { isOurs: lanes, isChat: true, without }),
      messages: messages.map(messageFields),
      ...toolFields(chat),
      ...(templateArguments !== "" && { chat_template_kwargs: JSON.parse(templateArguments) }),
      ...(sampling?.logprobs && { logprobs: true, top_logprobs: sampling.topLogprobs }),
      ...(lanes && { anabranch: options(request, branches, without) }),
    },
  };
}

/** `name` is the model's name there. Throws ConnectError for what that server could not do. */
export function upstreamCall(request: GenerateRequest, name: string, server: Server): UpstreamCall {
  const { input, sampling } = request;
  const { lanes, without = [] } = server;
  if (request.echo) {
    throw new ConnectError("echo: this model's server does not tell prompts", Code.InvalidArgument);
  }
  if (input.case === "chat") return chatCall(request, input.value, name, server);
  return {
    path: "/completions",
    body: {
      ...common(request, name),
      ...constraintFields(request.constraint, { isOurs: lanes, isChat: false, without }),
      prompt: input.case === "tokens" ? input.value.ids : (input.value ?? ""),
      ...(sampling?.logprobs && { logprobs: sampling.topLogprobs }),
      ...(lanes && { anabranch: options(request, [], without) }),
    },
  };
}
