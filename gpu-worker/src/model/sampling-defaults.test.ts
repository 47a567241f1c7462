import { neutralSampling } from "@anabranch/shared/sampling-defaults.ts";
import { expect, it } from "vitest";
import { samplingDefaultsOf } from "./sampling-defaults.ts";

it("are what the generation config names, else neutral", () => {
  expect(samplingDefaultsOf({})).toEqual(neutralSampling);
  expect(samplingDefaultsOf({ eos_token_id: 2, temperature: null })).toEqual(neutralSampling);
  const config = { do_sample: true, temperature: 0.6, top_p: 0.95, top_k: 20, min_p: 0.05 };
  expect(samplingDefaultsOf({ ...config, repetition_penalty: 1.05 })).toEqual({
    ...{ temperature: 0.6, topP: 0.95, topK: 20, minP: 0.05, repetitionPenalty: 1.05 },
  });
  expect(samplingDefaultsOf({ top_k: -1 }).topK).toBe(0);
});

it("are greedy if the config says not to sample, whatever its temperature", () => {
  const { temperature, topP } = samplingDefaultsOf({
    do_sample: false,
    temperature: 0.6,
    top_p: 0.9,
  });
  expect({ temperature, topP }).toEqual({ temperature: 0, topP: 0.9 });
});

it.each([
  { temperature: "hot" },
  { top_p: 0 },
  { top_k: 1.5 },
  { min_p: 2 },
  { repetition_penalty: 0 },
])("%j is refused by name, with the way around it", (config) => {
  const [name = ""] = Object.keys(config);
  expect(() => samplingDefaultsOf(config)).toThrow(
    new RegExp(`says ${name} is .+--sampling-defaults none`),
  );
});
