// The sampling that a model's authors recommend: it applies to what a request leaves open.

export interface SamplingDefaults {
  /** 0: greedy. */
  temperature: number;
  topP: number;
  /** 0: off. */
  topK: number;
  minP: number;
  repetitionPenalty: number;
}

/** Of a model that recommends nothing. */
export const neutralSampling: SamplingDefaults = {
  temperature: 1,
  topP: 1,
  topK: 0,
  minP: 0,
  repetitionPenalty: 1,
};
