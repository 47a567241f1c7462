import type { AnswerPart } from "@anabranch/shared/parts.ts";
import { z } from "@hono/zod-openapi";

/** A part of an answer with its structure, in answers and in history that clients send back. */
export const answerPart: z.ZodType<AnswerPart> = z
  .union([
    z.strictObject({ serial: z.string() }),
    z.strictObject({
      parallel: z.array(z.strictObject({ title: z.string(), body: z.string() })).min(1),
    }),
  ])
  .openapi("AnswerPart");
