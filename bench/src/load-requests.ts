// Requests of known structure, in sizes typical of chat, as a seed decides.
import type { EngineRequest, StructureRun } from "@anabranch/native";
import type { Random } from "@anabranch/training/random.ts";
import { tokenCount } from "./engine-client.ts";

export type Request = Omit<EngineRequest, "id">;

/** A length from `min` to `max`, uniform in its logarithm. */
const logUniform = (random: Random, min: number, max: number): number =>
  Math.round(min * (max / min) ** random.float());

/** A prompt and the structure of its answer. `scale` shortens both. */
export function randomRequest(random: Random, vocabulary: number, scale = 1): Request {
  const tokens = (n: number) => Array.from({ length: n }, () => random.int(0, vocabulary - 1));
  const some = (min: number, max: number) =>
    tokens(Math.max(1, Math.round(scale * logUniform(random, min, max))));
  const prompt = some(64, 512);
  const script: StructureRun[] = [{ serial: [...prompt, ...some(16, 96)] }];
  if (random.chance(0.6)) {
    const branches = random.int(2, 6);
    script.push(
      { serial: tokens(5 * branches + 1) },
      { parallel: Array.from({ length: branches }, () => some(24, 128)) },
      { serial: some(8, 48) },
    );
  }
  return { prompt, script };
}

/** Tokens of KV for the largest `atOnce` of the requests, of which 64 run at once at most. */
export const kvTokens = (requests: readonly Request[], atOnce: number): number =>
  requests
    .map(({ script }) => tokenCount(script ?? []) + 9 * 16)
    .sort((a, b) => b - a)
    .slice(0, Math.min(atOnce, 64))
    .reduce((sum, n) => sum + n, 0);

/** When `count` requests arrive, in seconds from the first: a Poisson process of `rate` a second. */
export function arrivalTimes(random: Random, rate: number, count: number): number[] {
  let at = 0;
  return Array.from({ length: count }, (_, i) => {
    if (i > 0) at -= Math.log(1 - random.float()) / rate;
    return at;
  });
}
