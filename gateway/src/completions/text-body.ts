// The body of POST /v1/completions.
import { z } from "@hono/zod-openapi";
import { list } from "../http/list.ts";
import { options, parameters } from "./parameters.ts";

const maxTokens = 1_500_000;
/** Answers of one request: prompts, each with `n` choices. */
export const maxAnswers = 128;
const id = z.int().min(0).max(4_294_967_295);
const text = z.string().min(1, "an empty prompt can't be completed");

export const textBody = z
  .looseObject({
    ...parameters,
    prompt: z.union([
      text,
      list(text, maxAnswers).min(1),
      list(id, maxTokens).min(1),
      list(list(id, maxTokens).min(1), maxAnswers).min(1),
    ]),
    max_tokens: z
      .int()
      .min(0)
      .max(2_147_483_647)
      .nullish()
      .openapi({ description: "0 with `echo`: nothing is decoded" }),
    echo: z.boolean().nullish().openapi({
      description: "The text begins with the prompt, and so do the log-probabilities",
    }),
    logprobs: z.int().min(0).max(5).nullish(),
    best_of: z
      .int()
      .min(1)
      .nullish()
      .openapi({ description: "As many as `n`, if at all: all choices are returned" }),
    anabranch: options
      .extend({ branches: z.null("branches are declared in chats only").optional() })
      .nullish()
      .openapi("AnabranchOptions"),
  })
  .openapi("CompletionRequest");

export type TextBody = z.output<typeof textBody>;
