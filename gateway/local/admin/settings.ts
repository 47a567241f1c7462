// Options of npm run admin as fields of the admin API.
import { integer, UsageError } from "@anabranch/shared/cli/options.ts";
import type { AdminApi, Json } from "./admin-api.ts";
import type { Option, Values } from "./verb.ts";

export const isNone = (value: string | undefined): boolean => value === "none";
const limit = (name: string, value: string) => (isNone(value) ? null : integer(name, value, 1));
export const list = (value: string): string[] => value.split(",").map((each) => each.trim());

const dateForm = /^(\d{4}-\d{2}-\d{2})(T\d{2}:\d{2}(:\d{2})?(Z|[+-]\d{2}:\d{2})?)?$/;

/** In seconds since the epoch. */
export function time(name: string, value: string): number {
  const [, day = ""] = dateForm.exec(value) ?? [];
  const midnight = Date.parse(day);
  // Some days of February are read as days of March.
  const exists = !Number.isNaN(midnight) && new Date(midnight).toISOString().startsWith(day);
  const ms = exists ? Date.parse(value) : Number.NaN;
  if (!Number.isNaN(ms)) return Math.floor(ms / 1_000);
  throw new UsageError(`--${name} takes a date such as 2027-01-31, not "${value}"`);
}

/** Throws UsageError for a time that has passed. */
export function expiry(value: string): number | null {
  if (isNone(value)) return null;
  const seconds = time("expires", value);
  if (seconds * 1_000 > Date.now()) return seconds;
  throw new UsageError(`--expires ${value} has passed; revoke ends a key at once`);
}

export const limitOptions: readonly Option[] = [
  ...(["rpm", "tpm", "concurrent", "monthly", "monthly-cost"] as const),
];

function limits({ rpm, tpm, concurrent, monthly, "monthly-cost": cost }: Values): Json {
  return {
    ...(rpm !== undefined && { rpm: limit("rpm", rpm) }),
    ...(tpm !== undefined && { tpm: limit("tpm", tpm) }),
    ...(concurrent !== undefined && { max_concurrent: limit("concurrent", concurrent) }),
    ...(monthly !== undefined && { tokens_per_month: limit("monthly", monthly) }),
    ...(cost !== undefined && { cost_per_month: isNone(cost) ? null : cost }),
  };
}

export function tenantSettings(values: Values): Json {
  const { weight } = values;
  return {
    ...limits(values),
    ...(weight !== undefined && { weight: integer("weight", weight, 1, 100) }),
  };
}

export const keyOptions: readonly Option[] = [
  ...limitOptions,
  ...(["name", "scopes", "models", "expires", "priority"] as const),
];

export function keySettings(values: Values): Json {
  const { name, scopes, models, expires, priority } = values;
  return {
    ...limits(values),
    ...(priority !== undefined && { priority: integer("priority", priority, -1_000, 1_000) }),
    ...(name !== undefined && { name }),
    ...(scopes !== undefined && { scopes: list(scopes) }),
    ...(models !== undefined && { models: isNone(models) ? null : list(models) }),
    ...(expires !== undefined && { expires_at: expiry(expires) }),
  };
}

/** Throws UsageError if a change changes nothing. */
export function changed(verb: string, settings: Json): Json {
  if (Object.keys(settings).length > 0) return settings;
  throw new UsageError(`${verb} takes a setting to change; see --help`);
}

/** Says on stderr which of `models` the pool does not have: they may come later, or be misspelt. */
export async function noteUnknownModels(
  api: AdminApi,
  models: readonly string[] | null | undefined,
): Promise<void> {
  if (!models || models.length === 0) return;
  const { workers } = await api.call("GET", "/pool");
  const served = new Set((workers as Json[]).flatMap((worker) => worker.models as string[]));
  for (const model of models) {
    if (served.has(model)) continue;
    process.stderr.write(`admin: note that no worker has a model "${model}" now; see pool\n`);
  }
}
