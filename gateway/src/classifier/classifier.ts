// Decides for mode `auto` whether the answer to a prompt is likely to have independent parts.
// `npm run classifier -- fit` (training/) fits its weights.
import { type Judgement, judge } from "@anabranch/shared/classifier/judge.ts";
import { readModel } from "@anabranch/shared/classifier/model.ts";
import weights from "./weights.json" with { type: "json" };

const model = readModel(weights);

export const version: string = model.version;
export const threshold: number = model.threshold;

/** `turn` counts the user's messages of a chat: 1 for the first. */
export const classify = (prompt: string, turn = 1): Judgement => judge(model, prompt, turn);
