// The likelihood of answers under a third model, which wrote neither.
import { locateModel } from "@anabranch/gpu-worker/model/locate.ts";
import { TextModel } from "@anabranch/gpu-worker/model/text-model.ts";
import { type Dtype, openEngine } from "@anabranch/native";
import type { Likelihood } from "./judge.ts";

export interface Scorer {
  score: Likelihood;
  close(): void;
}

/**
 * Loads the model. An answer's score is the mean log-probability of its tokens, in nats, as a plain serial
 * answer to its prompt through the model's own chat template.
 * @throws Error naming what is wrong with the model, or that it has no chat template
 */
export async function openScorer(
  given: string,
  { dtype, device, threads }: { dtype: Dtype; device: string; threads: number },
): Promise<Scorer> {
  const located = await locateModel(given);
  const text = await TextModel.open(located);
  if (text.files.chatTemplate === undefined) {
    throw new Error(`${given}: has no chat template; --under takes an instruct model`);
  }
  const engine = openEngine({ model: located.path, dtype, device, threads }, () => {});
  return {
    async score({ prompt }, answer) {
      const before = text.chat([{ role: "user", content: prompt }]);
      const ids = text.tokens(answer);
      if (ids.length === 0 || before.length + ids.length >= engine.info().context) return null;
      const { runs } = await engine.score([{ serial: [...before, ...ids] }], "sum");
      const [run] = runs;
      const scores = run && "serial" in run ? run.serial.slice(before.length) : [];
      return scores.reduce<number>((sum, score) => sum + (score ?? 0), 0) / ids.length;
    },
    close: () => engine.close(),
  };
}
