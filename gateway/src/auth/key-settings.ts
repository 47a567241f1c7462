// What a key may do, and for how long.
import { z } from "@hono/zod-openapi";

export const scopes = ["inference", "usage"] as const;
export type Scope = (typeof scopes)[number];

export interface KeySettings {
  name: string;
  /** Requests per minute; null: no limit. */
  rpm: number | null;
  /** Tokens per minute; null: no limit. */
  tpm: number | null;
  scopes: readonly Scope[];
  /** The models it may use; null: all. */
  models: readonly string[] | null;
  /** When it ends, ms since the epoch; null: never. */
  expiresAt: number | null;
}

const limit = z.int().min(1).max(1_000_000_000).nullable();

/** The fields of the admin API, all optional. */
export const settingFields = {
  name: z.string().max(100).optional(),
  rpm: limit.optional().openapi({ description: "Requests per minute; null: no limit" }),
  tpm: limit.optional().openapi({ description: "Tokens per minute; null: no limit" }),
  scopes: z
    .array(z.enum(scopes))
    .min(1)
    .max(scopes.length)
    .optional()
    .openapi({ description: "Default: all" }),
  models: z
    .array(z.string().min(1).max(200))
    .min(1)
    .max(100)
    .nullable()
    .optional()
    .openapi({ description: "The models that it may use; null: all" }),
  expires_at: z
    .int()
    .min(0)
    .nullable()
    .optional()
    .openapi({ description: "Seconds since the epoch; null: never" }),
};

type Fields = { [K in keyof typeof settingFields]?: z.output<(typeof settingFields)[K]> };

/** `before` with the fields that are given. */
export function withFields(before: KeySettings, given: Fields): KeySettings {
  const { expires_at: expires, name, rpm, tpm, scopes, models } = given;
  return {
    name: name ?? before.name,
    rpm: rpm === undefined ? before.rpm : rpm,
    tpm: tpm === undefined ? before.tpm : tpm,
    scopes: scopes ?? before.scopes,
    models: models === undefined ? before.models : models,
    expiresAt: expires === undefined ? before.expiresAt : expires === null ? null : expires * 1_000,
  };
}

export const defaultSettings: KeySettings = {
  name: "",
  rpm: null,
  tpm: null,
  scopes,
  models: null,
  expiresAt: null,
};
