// What a command of npm run admin is: the arguments and options that it takes, and what it does.
import { UsageError } from "@anabranch/shared/cli/options.ts";
import type { AdminApi, Json } from "./admin-api.ts";

const text = { type: "string" } as const;
const flag = { type: "boolean" } as const;

/** Of all commands. */
export const options = {
  ...{ tenant: text, name: text, weight: text, rpm: text, tpm: text, concurrent: text },
  ...{ monthly: text, "monthly-cost": text, scopes: text, models: text, expires: text },
  ...{ priority: text, overlap: text, currency: text, prompt: text, cached: text, visible: text },
  ...{ from: text, "max-requests": text, "max-tokens": text, without: text, by: text, days: text },
  ...{ url: text, csv: flag, gateway: text, json: flag },
};
export type Option = keyof typeof options;

/** What every command takes. */
const common: readonly Option[] = ["gateway", "json"];

export type Values = {
  [name in Option]?: (typeof options)[name] extends typeof flag ? boolean : string;
};

export interface Given {
  values: Values;
  /** As many as the verb `takes`. */
  args: string[];
  api: AdminApi;
}

export interface Result {
  /** Printed with --json. */
  json: unknown;
  text: string;
}

export interface AdminVerb {
  /** Arguments after its name, each as in "takes a key's id; see keys list". */
  takes?: readonly string[];
  options?: readonly Option[];
  run(given: Given): Promise<Result>;
}

/** Throws UsageError unless a command has what it takes, and nothing else. */
export function checkCommand(
  name: string,
  { takes = [], options = [] }: AdminVerb,
  args: readonly string[],
  values: Values,
): void {
  const missing = takes[args.length];
  if (missing !== undefined) throw new UsageError(`${name} takes ${missing}`);
  const extra = args[takes.length];
  if (extra !== undefined) throw new UsageError(`${name} takes no argument "${extra}"; see --help`);
  const known: readonly string[] = [...options, ...common];
  const other = Object.keys(values).find((option) => !known.includes(option));
  if (other !== undefined) throw new UsageError(`${name} takes no --${other}; see --help`);
  if (values.csv && values.json) throw new UsageError("--csv can't be used with --json");
}

/** What is one JSON value, and its text. */
export const one = (json: Json, text: (json: Json) => string): Result => ({
  json,
  text: text(json),
});
