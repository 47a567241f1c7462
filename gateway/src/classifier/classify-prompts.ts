// POST /v1/classify
import { z } from "@hono/zod-openapi";
import { readBody } from "../http/body.ts";
import { jsonBody, tenantRoute } from "../http/route.ts";
import { classification, classificationOf } from "./classification.ts";
import { classify, threshold, version } from "./classifier.ts";

/** Bounds the time that one request takes from all others: some tenths of a second where each prompt is long. */
const mostPrompts = 256;

const body = z.object({
  input: z.union([
    z.string(),
    z
      .array(z.string())
      .min(1)
      .max(mostPrompts, `at most ${mostPrompts} prompts are judged at once`),
  ]),
});

export const classifyPrompts = tenantRoute({
  method: "post",
  path: "/v1/classify",
  summary: "How parallel the answers to prompts will be",
  request: jsonBody(body, { input: ["List five uses of salt.", "Why is the sky blue?"] }),
  response: {
    description: "One classification for each prompt, in order",
    schema: z.object({
      object: z.literal("list"),
      version: z.string(),
      threshold: z.number().openapi({
        description:
          "From this probability on, `auto` is parallel; so it is wherever the classifier abstains",
      }),
      data: z.array(classification.extend({ index: z.int() })),
    }),
  },
  async handle({ request, reservation }) {
    const { input } = await readBody(request, body);
    await reservation.countRequest();
    const prompts = typeof input === "string" ? [input] : input;
    const data = prompts.map((prompt, index) => {
      return { index, ...classificationOf(classify(prompt), version) };
    });
    return { object: "list" as const, version, threshold, data };
  },
});
