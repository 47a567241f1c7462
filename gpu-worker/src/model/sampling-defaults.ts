// Reads a model's sampling defaults from its generation_config.json, as vLLM does.
import { neutralSampling, type SamplingDefaults } from "@anabranch/shared/sampling-defaults.ts";
import type { Json } from "./model-files.ts";

interface Field {
  key: keyof SamplingDefaults;
  /** In generation_config.json. */
  name: string;
  accepts: (value: number) => boolean;
  range: string;
}

/** The ranges are those of requests. */
const fields: readonly Field[] = [
  {
    ...{ key: "temperature", name: "temperature", range: "from 0 to 2" },
    accepts: (value) => value >= 0 && value <= 2,
  },
  {
    ...{ key: "topP", name: "top_p", range: "above 0, at most 1" },
    accepts: (value) => value > 0 && value <= 1,
  },
  {
    ...{ key: "topK", name: "top_k", range: "a whole number from -1 to 1000000" },
    accepts: (value) => Number.isInteger(value) && value >= -1 && value <= 1_000_000,
  },
  {
    ...{ key: "minP", name: "min_p", range: "from 0 to 1" },
    accepts: (value) => value >= 0 && value <= 1,
  },
  {
    ...{ key: "repetitionPenalty", name: "repetition_penalty", range: "above 0, at most 10" },
    accepts: (value) => value > 0 && value <= 10,
  },
];

/** What a config may name, beside `do_sample`. */
export const samplingNames: readonly string[] = fields.map(({ name }) => name);

/** What is wrong with one of the config's values; undefined: nothing. */
export function samplingFault(config: Json): string | undefined {
  for (const { name, accepts, range } of fields) {
    const value = config[name];
    if (value === undefined || value === null) continue;
    if (typeof value !== "number" || !accepts(value)) {
      return `${name} is ${JSON.stringify(value)}, which is not ${range}`;
    }
  }
  return undefined;
}

/**
 * What the config does not name is neutral. `do_sample: false` means greedy, whatever its temperature says.
 * @throws Error naming the field that is out of range
 */
export function samplingDefaultsOf(config: Json): SamplingDefaults {
  const fault = samplingFault(config);
  if (fault) {
    throw new Error(
      `the model's generation config says ${fault}; --sampling-defaults none leaves its values out`,
    );
  }
  const out = { ...neutralSampling };
  for (const { key, name } of fields) {
    const value = config[name];
    if (typeof value === "number") out[key] = value;
  }
  out.topK = Math.max(0, out.topK);
  if (config.do_sample === false) out.temperature = 0;
  return out;
}
