import { neutralSampling } from "@anabranch/shared/sampling-defaults.ts";
import { z } from "@hono/zod-openapi";
import type { Environment } from "../environment.ts";
import { poolView } from "../pool/pool-view.ts";

const samplingDefaults = z
  .object({
    temperature: z.number(),
    top_p: z.number(),
    top_k: z.int(),
    min_p: z.number(),
    repetition_penalty: z.number(),
  })
  .openapi({ description: "For what a request leaves open" });

export const model = z
  .object({
    id: z.string(),
    object: z.literal("model"),
    created: z.int(),
    owned_by: z.string(),
    anabranch: z.object({
      base: z
        .string()
        .nullable()
        .openapi({ description: "Of a LoRA adapter: the model that it changes" }),
      dialect: z.string().nullable(),
      context_tokens: z.int(),
      upstream: z.boolean().openapi({
        description:
          "Served by another server with OpenAI's API. Declared branches go to it as requests at once, and an answer that loses it is decoded again from its beginning",
      }),
      sampling_defaults: samplingDefaults,
    }),
  })
  .openapi("Model");

const shown = (sampling = neutralSampling): z.output<typeof samplingDefaults> => ({
  temperature: sampling.temperature,
  top_p: sampling.topP,
  top_k: sampling.topK,
  min_p: sampling.minP,
  repetition_penalty: sampling.repetitionPenalty,
});

/** The models that some healthy worker has, by name. */
export async function availableModels(
  env: Environment,
  waitUntil: (promise: Promise<unknown>) => void,
): Promise<z.output<typeof model>[]> {
  const { workers, since } = await poolView(env, waitUntil, true);
  const models = new Map<string, z.output<typeof model>>();
  for (const worker of workers) {
    if (!worker.healthy || worker.draining) continue;
    for (const { id, base, dialect, contextTokens, ...its } of worker.models) {
      if (models.has(id)) continue;
      const created = Math.floor((since[id] ?? worker.registeredAt) / 1_000);
      const anabranch = {
        base: base ?? null,
        dialect: dialect || null,
        context_tokens: contextTokens,
        upstream: worker.upstream !== undefined,
        sampling_defaults: shown(its.samplingDefaults),
      };
      models.set(id, { id, object: "model", created, owned_by: "anabranch", anabranch });
    }
  }
  return [...models.values()].sort((a, b) => (a.id < b.id ? -1 : 1));
}
