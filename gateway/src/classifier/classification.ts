// What the classifier says of a prompt, as clients see it.
import type { Judgement } from "@anabranch/shared/classifier/judge.ts";
import { z } from "@hono/zod-openapi";

export const classification = z
  .object({
    probability: z
      .number()
      .openapi({ description: "The chance that a good answer is a list of independent points" }),
    speedup: z.number().openapi({ description: "The expected speed-up in decode steps" }),
    mode: z.enum(["serial", "parallel"]).openapi({ description: "What `auto` makes of it" }),
    abstains: z.boolean().openapi({
      description:
        "The classifier hardly knows the prompt's language: `mode` is parallel, and the model decides",
    }),
    reasons: z
      .array(z.object({ cue: z.string(), weight: z.number() }))
      .openapi({ description: "What counts most, in log-odds, strongest first" }),
    version: z.string(),
  })
  .openapi("Classification");

const round = (value: number) => Math.round(value * 1e4) / 1e4;

export const classificationOf = (
  { probability, speedup, mode, abstains, reasons }: Judgement,
  version: string,
): z.output<typeof classification> => ({
  ...{ probability: round(probability), speedup: round(speedup) },
  ...{ mode, abstains, reasons, version },
});
