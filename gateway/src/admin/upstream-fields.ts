// What an operator says of an upstream, as the fields of the admin API.
import { z } from "@hono/zod-openapi";
import { badField } from "../api-error.ts";
import { list } from "../http/list.ts";
import { lacks, type UpstreamSettings } from "../upstreams/upstream.ts";

const name = z.string().min(1).max(500);

export const upstreamUrl = z
  .url({ protocol: /^https?$/ })
  .max(2_000)
  .openapi({
    description: "What an OpenAI SDK takes as its base URL, such as http://10.0.0.5:8000/v1",
  });

/** All optional. */
export const upstreamFields = {
  credential: z
    .string()
    .min(1)
    .max(10_000)
    .nullish()
    .openapi({ description: "Sent to it as a bearer credential; null: none" }),
  models: list(z.strictObject({ id: name, name: name.optional() }), 1_000)
    .min(1)
    .nullish()
    .openapi({ description: "Its models to serve: `id` here, `name` there. null: all" }),
  max_requests: z.int().min(1).max(1_000_000).nullish().openapi({
    description: "Requests at once, of each of the gateway's isolates; null: no limit",
  }),
  default_max_tokens: z.int().min(1).max(1_000_000).optional().openapi({
    description: "For requests that name no max_tokens; 1024 where it is not said",
  }),
  without: list(z.enum(lacks), lacks.length).optional().openapi({
    description: "What it does not have: such requests are refused",
  }),
};

type Fields = { [K in keyof typeof upstreamFields]?: z.output<(typeof upstreamFields)[K]> };

const either = <T>(given: T | undefined, before: T): T => (given === undefined ? before : given);

type Settings = Omit<UpstreamSettings, "id" | "url" | "addedAt">;

/** The settings that are given, those of `before` for the others. */
export function withUpstreamFields(before: Settings, given: Fields): Settings {
  const models = given.models?.map(({ id, name = id }) => ({ id, name }));
  return {
    credential: either(given.credential, before.credential),
    models: given.models === undefined ? before.models : (models ?? null),
    maxRequests: either(given.max_requests, before.maxRequests),
    defaultMaxTokens: given.default_max_tokens ?? before.defaultMaxTokens,
    without: given.without ?? before.without ?? [],
  };
}

export const defaultUpstream: Settings = {
  credential: null,
  models: null,
  maxRequests: null,
  defaultMaxTokens: 1_024,
};

/** As it is kept. Throws a 400 ApiError if it says more than where the server is. */
export function baseUrl(given: string): string {
  const { username, password, search, hash } = new URL(given);
  if (username || password || search || hash) {
    throw badField("url", "'url' takes no user, query or fragment; use 'credential'.");
  }
  return given.replace(/\/+$/, "");
}
