// What a key may do, and for how long.
import { z } from "@hono/zod-openapi";
import { type Limits, limitFields, noLimits, withLimits } from "../limits/limits.ts";

export const scopes = ["inference", "usage"] as const;
export type Scope = (typeof scopes)[number];

/** What an operator's credential opens: read: what changes nothing; all: everything. */
export const operatorScopes = ["read", "all"] as const;
export type OperatorScope = (typeof operatorScopes)[number];

export interface KeySettings extends Limits {
  name: string;
  scopes: readonly Scope[];
  /** The models it may use; null: all. */
  models: readonly string[] | null;
  /** When it ends, ms since the epoch; null: never. */
  expiresAt: number | null;
  /** Where requests wait, those of a higher one go first. */
  priority: number;
}

/** The fields of the admin API, all optional. */
export const settingFields = {
  name: z.string().max(100).optional(),
  ...limitFields,
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
  priority: z
    .int()
    .min(-1_000)
    .max(1_000)
    .optional()
    .openapi({ description: "Where requests wait, those of a higher one go first; default 0" }),
};

type Fields = { [K in keyof typeof settingFields]?: z.output<(typeof settingFields)[K]> };

/** `before` with the fields that are given. */
export function withFields(before: KeySettings, given: Fields): KeySettings {
  const { expires_at: expires, name, scopes, models, priority } = given;
  return {
    ...withLimits(before, given),
    name: name ?? before.name,
    scopes: scopes ?? before.scopes,
    models: models === undefined ? before.models : models,
    priority: priority ?? before.priority,
    expiresAt: expires === undefined ? before.expiresAt : expires === null ? null : expires * 1_000,
  };
}

export const defaultSettings: KeySettings = {
  ...noLimits,
  name: "",
  scopes,
  models: null,
  expiresAt: null,
  priority: 0,
};
