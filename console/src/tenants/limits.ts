// The limits of a key, and of all keys of a tenant, as a form has them.
import { type Field, numberOrNull } from "../parts/form.tsx";

export interface GivenLimits {
  rpm: string;
  tpm: string;
  atOnce: string;
  month: string;
  cost: string;
}

/** As the API says them. */
interface Limits {
  rpm: number | null;
  tpm: number | null;
  max_concurrent: number | null;
  tokens_per_month: number | null;
  cost_per_month: string | null;
}

export const noLimits: GivenLimits = { rpm: "", tpm: "", atOnce: "", month: "", cost: "" };

const number = { type: "number", min: 1, placeholder: "no limit" };
const money = { inputMode: "decimal", pattern: "\\d{1,9}(\\.\\d{1,6})?", placeholder: "no limit" };

export const limitFields: readonly Field<keyof GivenLimits>[] = [
  ["rpm", "Requests a minute", number],
  ["tpm", "Tokens a minute", number],
  ["atOnce", "Requests at once", number],
  ["month", "Tokens a month", number],
  ["cost", "Money a month", money],
];

export const limitsOf = (given: GivenLimits): Limits => ({
  rpm: numberOrNull(given.rpm),
  tpm: numberOrNull(given.tpm),
  max_concurrent: numberOrNull(given.atOnce),
  tokens_per_month: numberOrNull(given.month),
  cost_per_month: given.cost === "" ? null : given.cost,
});

export const givenOf = (limits: Limits): GivenLimits => ({
  rpm: `${limits.rpm ?? ""}`,
  tpm: `${limits.tpm ?? ""}`,
  atOnce: `${limits.max_concurrent ?? ""}`,
  month: `${limits.tokens_per_month ?? ""}`,
  cost: limits.cost_per_month ?? "",
});
