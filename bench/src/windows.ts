// The windows in which perplexity is measured, as llama-perplexity cuts them.
import { UsageError } from "@anabranch/shared/cli/options.ts";

/** The tokens of a window that count: those in its second half, each predicted by at least half a window. */
export const scoredPerWindow = (window: number): number => window - Math.floor(window / 2) - 1;

/**
 * The first `count` windows of a text. A model's start token, if there is one, replaces the first token of each.
 * @throws UsageError if the text is too short
 */
export function windowsOf(
  tokens: readonly number[],
  start: readonly number[],
  window: number,
  count: number,
): number[][] {
  if (tokens.length < window * count) {
    const most = Math.floor(tokens.length / window) * scoredPerWindow(window);
    throw new UsageError(`the texts are too short: they give ${most} --tokens at most`);
  }
  return Array.from({ length: count }, (_, i) => {
    const cut = tokens.slice(i * window, (i + 1) * window);
    return [...start, ...cut.slice(start.length)];
  });
}
