import type { AnswerPart } from "@anabranch/shared/parts.ts";
import { z } from "@hono/zod-openapi";
import { list } from "../http/list.ts";

/** More than any dialect allows. */
const maxBranches = 1_024;

/** A part of an answer with its structure, in answers and in history that clients send back. */
export const answerPart: z.ZodType<AnswerPart> = z
  .union([
    z.strictObject({ serial: z.string() }),
    z.strictObject({
      parallel: list(z.strictObject({ title: z.string(), body: z.string() }), maxBranches).min(1),
    }),
  ])
  .openapi("AnswerPart");
