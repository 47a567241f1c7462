// POST /v1/completions
import type { TokenLogprob } from "@anabranch/shared/proto/anabranch/v1/lane_events_pb.js";
import { z } from "@hono/zod-openapi";
import { badField } from "../api-error.ts";
import { readBody } from "../http/body.ts";
import { list } from "../http/list.ts";
import { jsonBody, tenantRoute } from "../http/route.ts";

import type { AnswerRequest } from "./answer-request.ts";
import { deliver, type RendererOf } from "./deliver.ts";
import { textLogprobs } from "./logprobs.ts";

import {
  options,
  parameters,
  refuseUnsupported,
  settingsOf,
  unsupportedParameters,
} from "./parameters.ts";
import { finishWord, usageBlock } from "./renderer.ts";
import { textCompletion } from "./responses.ts";

const maxTokens = 1_500_000;
const maxPrompts = 1_024;
const tokens = list(z.int().min(0).max(4_294_967_295), maxTokens).min(1);

const body = z
  .looseObject({
    ...parameters,
    prompt: z.union([
      z.string().min(1, "an empty prompt can't be completed"),
      list(z.string(), maxPrompts).min(1),
      tokens,
      list(tokens, maxPrompts).min(1),
    ]),
    logprobs: z.int().min(0).max(5).nullish(),
    best_of: z.literal(1, "only 1 is supported").nullish(),
    anabranch: options
      .extend({ branches: z.null("branches are declared in chats only").optional() })
      .nullish()
      .openapi("AnabranchOptions"),
  })
  .openapi("CompletionRequest");

const unsupported = [...unsupportedParameters, "suffix", "echo", "prompt_logprobs"];

type Body = z.output<typeof body>;

/** OpenAI accepts several prompts; only one is implemented. */
function onlyPrompt(prompt: Body["prompt"]): string | number[] {
  if (typeof prompt === "string") return prompt;
  const [first] = prompt;
  if (typeof first === "number") return prompt as number[];
  if (prompt.length > 1) throw badField("prompt", "Only one prompt a request is supported.");
  if (first === undefined || first.length === 0) throw badField("prompt", "'prompt' is empty.");
  return first;
}

function answerRequest(fields: Body, id: string): AnswerRequest {
  const prompt = onlyPrompt(fields.prompt);
  const plain = typeof prompt === "string";
  const topLogprobs = fields.logprobs ?? 0;
  const logprobs = fields.logprobs !== null && fields.logprobs !== undefined;
  return {
    id,
    endpoint: "completions",
    model: fields.model,
    input: plain ? { case: "text", value: prompt } : { case: "tokens", value: { ids: prompt } },
    promptField: "prompt",
    // Plus one for a token that starts every sequence.
    promptBytes: 1 + (plain ? new TextEncoder().encode(prompt).byteLength : prompt.length),
    branchBytes: [],
    question: plain ? prompt : null,
    turn: 1,
    // OpenAI's default here is 16; ours is the model's, as in chats.
    settings: settingsOf(fields, fields.max_tokens ?? null, { logprobs, topLogprobs }),
  };
}

const textRenderer: RendererOf = (
  { id, model, createdAt: created },
  withLogprobs,
  includeUsage,
) => {
  const head = { id, object: "text_completion", created, model };
  const noUsage = includeUsage ? { usage: null } : {};
  return {
    choice(index) {
      let offset = 0;
      const shown = (logprobs: readonly TokenLogprob[]) => {
        if (!withLogprobs) return null;
        const block = textLogprobs(logprobs, offset);
        offset += block.tokens.join("").length;
        return block;
      };
      const chunk = (
        text: string,
        logprobs: object | null,
        finish_reason: string | null,
        mark: object | undefined,
      ) => ({
        ...head,
        choices: [{ index, text, logprobs, finish_reason }],
        ...noUsage,
        ...(mark ? { anabranch: mark } : {}),
      });
      return {
        opening: () => [],
        fragment: ({ text, logprobs, mark }) => [
          chunk(text, logprobs.length > 0 ? shown(logprobs) : null, null, mark),
        ],
        closing: (reason, mark) => [chunk("", null, finishWord(reason), mark)],
        whole: ({ text, logprobs }, reason) => {
          const finish_reason = finishWord(reason);
          return { index, text, logprobs: shown(logprobs), finish_reason };
        },
      };
    },
    named: false,
    ending: (counts) => (includeUsage ? [{ ...head, choices: [], usage: usageBlock(counts) }] : []),
    failure: (error) => error.body,
    whole: (choices, counts) => ({ ...head, choices, usage: usageBlock(counts) }),
  };
};

export const textCompletions = tenantRoute({
  method: "post",
  path: "/v1/completions",
  summary: "Continues a text",
  request: jsonBody(body, { model: "smollm2", prompt: "The capital of Norway is", max_tokens: 8 }),
  response: {
    description: "A text_completion, or with `stream` its chunks as server-sent events",
    stream: "`data: ` and a chunk as JSON, event by event; at the end `data: [DONE]`",
    schema: textCompletion,
  },
  async handle(context) {
    const fields = await readBody(context.request, body);
    refuseUnsupported(fields, unsupported);
    const id = `cmpl-${context.requestId}`;
    return deliver(answerRequest(fields, id), textRenderer, context);
  },
});
