// The parameters of an instruction, as IFEval's rows give them in `kwargs`.

/** One entry of `kwargs`. */
export type Parameters = Readonly<Record<string, unknown>>;

/** Whether a text follows an instruction. The texts that it gets hold more than white space. */
export type Check = (text: string, parameters: Parameters) => boolean;

/** @throws Error naming the parameter if it is missing or another kind of value */
export function numberOf(parameters: Parameters, name: string): number {
  const value = parameters[name];
  if (typeof value === "number" && Number.isFinite(value)) return value;
  throw new Error(`kwargs need the number "${name}"`);
}

/** @throws Error naming the parameter if it is missing or another kind of value */
export function stringOf(parameters: Parameters, name: string): string {
  const value = parameters[name];
  if (typeof value === "string" && value !== "") return value;
  throw new Error(`kwargs need the text "${name}"`);
}

/** @throws Error naming the parameter if it is missing or another kind of value */
export function stringsOf(parameters: Parameters, name: string): string[] {
  const value = parameters[name];
  if (Array.isArray(value) && value.every((each) => typeof each === "string")) return value;
  throw new Error(`kwargs need the list of texts "${name}"`);
}

/**
 * Compares a count with the number `name` by the relation `relation`: "less than" or "at least".
 * @throws Error naming the parameter that is missing or unknown
 */
export function holds(
  counted: number,
  parameters: Parameters,
  name: string,
  relation = "relation",
): boolean {
  const number = numberOf(parameters, name);
  switch (parameters[relation]) {
    case "less than":
      return counted < number;
    case "at least":
      return counted >= number;
    default:
      throw new Error(`kwargs need "${relation}": "less than" or "at least"`);
  }
}
