// The bodies of answers that are not streamed, for the OpenAPI document.
import { z } from "@hono/zod-openapi";
import { classification } from "../classifier/classification.ts";
import { answerPart } from "./answer-part.ts";
import { outlineEndWords, planDropWords } from "./renderer.ts";

const usage = z
  .object({
    prompt_tokens: z.int(),
    completion_tokens: z.int(),
    total_tokens: z.int(),
    prompt_tokens_details: z.object({ cached_tokens: z.int() }),
    anabranch: z.object({
      steps: z.int(),
      stages: z.int(),
      branches: z.int(),
      visible_tokens: z.int(),
      cached_tokens: z.int(),
      outline_tokens: z.int(),
      dropped_tokens: z.int(),
      dropped_plans: z.array(z.enum(planDropWords)),
      outline_ends: z.array(z.enum(outlineEndWords)),
    }),
  })
  .openapi("CompletionUsage");

const token = { token: z.string(), logprob: z.number(), bytes: z.array(z.int()) };

const finishReason = z.enum(["stop", "length"]);
const choice = { index: z.int(), finish_reason: finishReason };

const toolCall = z.object({
  id: z.string(),
  type: z.literal("function"),
  function: z.object({
    name: z.string(),
    arguments: z.string().openapi({ description: "JSON, valid for the tool's parameters" }),
  }),
});
const head = {
  id: z.string(),
  created: z.int(),
  model: z.string(),
  usage,
  anabranch: z
    .object({ classification })
    .optional()
    .openapi({ description: "If the request asks for it with `anabranch.classification`" }),
};

const chatLogprobs = z
  .object({
    content: z.array(z.object({ ...token, top_logprobs: z.array(z.object(token)) })),
    refusal: z.null(),
  })
  .nullable();

/** How one declared branch ended. */
const endedBranch = z.object({
  title: z.string(),
  finish_reason: finishReason,
  logprobs: chatLogprobs,
});

export const chatCompletion = z
  .object({
    ...head,
    object: z.literal("chat.completion"),
    choices: z.array(
      z.object({
        index: z.int(),
        finish_reason: z.enum(["stop", "length", "tool_calls"]),
        message: z.object({
          role: z.literal("assistant"),
          content: z.string().nullable().openapi({ description: "null if there are only calls" }),
          refusal: z.null(),
          reasoning_content: z
            .string()
            .optional()
            .openapi({ description: "What the model thinks first, as its template marks it" }),
          tool_calls: z.array(toolCall).optional(),
          anabranch: z.object({
            parts: z.array(answerPart),
            branches: z
              .array(endedBranch)
              .optional()
              .openapi({ description: "Of an answer whose branches the request declared" }),
          }),
        }),
        logprobs: chatLogprobs,
      }),
    ),
  })
  .openapi("ChatCompletion");

export const textCompletion = z
  .object({
    ...head,
    object: z.literal("text_completion"),
    choices: z.array(
      z.object({
        ...choice,
        text: z.string(),
        logprobs: z
          .object({
            tokens: z.array(z.string()),
            token_logprobs: z.array(z.number().nullable()),
            top_logprobs: z
              .array(z.record(z.string(), z.number()).nullable())
              .openapi({ description: "null for the first token of an echoed prompt" }),
            text_offset: z.array(z.int()),
          })
          .nullable(),
      }),
    ),
  })
  .openapi("TextCompletion");
