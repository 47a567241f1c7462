// Asks an upstream for its models. An answer means that it is up.
import { z } from "zod";
import type { Model } from "../pool/pool.ts";
import type { Lack, UpstreamFacts, UpstreamSettings } from "./upstream.ts";

const timeoutMs = 4_000;

/** Why an upstream can't be used, as a sentence for an operator. */
export class UpstreamError extends Error {
  override readonly name = "UpstreamError";
}

const listedModel = z.object({
  id: z.string().min(1).max(500),
  /** vLLM and SGLang */
  max_model_len: z.int().min(1).nullish().catch(null),
  owned_by: z.string().nullish().catch(null),
  /** llama.cpp's server */
  meta: z
    .object({ n_ctx: z.int().nullish(), n_ctx_train: z.int().nullish() })
    .nullish()
    .catch(null),
  /** Another gateway of ours */
  anabranch: z
    .object({ dialect: z.string().nullish(), context_tokens: z.int() })
    .nullish()
    .catch(null),
});
const modelList = z.object({ data: z.array(listedModel).max(10_000) });
type ListedModel = z.output<typeof listedModel>;

export const authorization = (credential: string | null): Record<string, string> =>
  credential === null ? {} : { authorization: `Bearer ${credential}` };

async function listModels({ url, credential }: UpstreamSettings): Promise<ListedModel[]> {
  const response = await fetch(`${url}/models`, {
    headers: authorization(credential),
    redirect: "manual",
    signal: AbortSignal.timeout(timeoutMs),
  }).catch((error: Error) => {
    throw new UpstreamError(`${url}/models does not answer: ${error.message.replace(/\.$/, "")}`);
  });
  if (!response.ok) {
    await response.body?.cancel();
    throw new UpstreamError(`${url}/models answers with status ${response.status}`);
  }
  const list = modelList.safeParse(await response.json().catch(() => null));
  if (!list.success) throw new UpstreamError(`${url}/models does not list models as OpenAI does`);
  return list.data.data;
}

const llamaProperties = z.object({
  chat_template_caps: z.object({ supports_tools: z.boolean() }),
});

/**
 * llama.cpp's server takes tools with any model, and shows them to none whose template has no place for them. It tells
 * that in its properties. Throws UpstreamError if it does not answer.
 */
async function lacksTools({ url, credential }: UpstreamSettings): Promise<boolean> {
  const response = await fetch(`${url.replace(/\/v1$/, "")}/props`, {
    headers: authorization(credential),
    redirect: "manual",
    signal: AbortSignal.timeout(timeoutMs),
  }).catch((error: Error) => {
    throw new UpstreamError(`${url} does not tell its properties: ${error.message}`);
  });
  const properties = llamaProperties.safeParse(await response.json().catch(() => null));
  return properties.success && !properties.data.chat_template_caps.supports_tools;
}

async function lacksOf(
  settings: UpstreamSettings,
  models: readonly ListedModel[],
): Promise<Lack[]> {
  const told = settings.without ?? [];
  const isLlama = models.some(({ owned_by: owner }) => owner === "llamacpp");
  if (told.includes("tools") || !isLlama || !(await lacksTools(settings))) return [...told];
  return [...told, "tools"];
}

/** One of its models, as the pool knows models. */
function modelOf(
  settings: UpstreamSettings,
  id: string,
  name: string,
  listed: ListedModel | undefined,
): Model {
  const contextTokens =
    listed?.anabranch?.context_tokens ??
    listed?.max_model_len ??
    listed?.meta?.n_ctx ??
    listed?.meta?.n_ctx_train ??
    0;
  return {
    id,
    digest: `upstream ${settings.id} ${settings.addedAt} ${name}`,
    backend: "upstream",
    dialect: listed?.anabranch?.dialect ?? "",
    contextTokens,
    defaultMaxTokens: settings.defaultMaxTokens,
  };
}

/** What a check finds. */
export interface Found {
  models: Model[];
  facts: UpstreamFacts;
}

/**
 * What the upstream serves now. `before` is what the last check found, if the server has been there since: what it lacks
 * is asked once. Throws UpstreamError.
 */
export async function checkUpstream(
  settings: UpstreamSettings,
  before: Found | null,
): Promise<Found> {
  const listed = new Map((await listModels(settings)).map((each) => [each.id, each]));
  const wanted = settings.models ?? [...listed.keys()].map((name) => ({ id: name, name }));
  const missing = wanted.find(({ name }) => !listed.has(name));
  if (missing) {
    const names = [...listed.keys()].slice(0, 10).join(", ");
    throw new UpstreamError(`${settings.url} has no model '${missing.name}'; it has ${names}`);
  }
  const models = wanted.map(({ id, name }) => modelOf(settings, id, name, listed.get(name)));
  const known = JSON.stringify(before?.models) === JSON.stringify(models);
  return {
    models,
    facts: {
      names: Object.fromEntries(wanted.map(({ id, name }) => [id, name])),
      lanes: [...listed.values()].some(({ anabranch }) => anabranch),
      maxRequests: settings.maxRequests,
      without: (known && before?.facts.without) || (await lacksOf(settings, [...listed.values()])),
    },
  };
}
