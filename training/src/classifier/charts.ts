// The classifier's charts as SVG.
import { cueNames } from "@anabranch/shared/classifier/features.ts";
import type { Model } from "@anabranch/shared/classifier/model.ts";
import { barChart, dotChart } from "../pipeline/charts.ts";
import type { LabelledExample } from "./examples.ts";
import type { ReliabilityBin } from "./scores.ts";

export function reliabilityChart(bins: readonly ReliabilityBin[]): string {
  return dotChart(
    bins.map(({ predicted, observed, examples }) => ({
      x: predicted,
      y: observed,
      size: examples,
      label: `${predicted.toFixed(2)} predicted, ${observed.toFixed(2)} observed, ${examples} prompts`,
    })),
    "predicted probability",
    "share of parallel prompts",
  );
}

const shown = 24;

/** What each cue moves on average where it is present, the strongest first. */
export function reasonsChart(model: Model, examples: readonly LabelledExample[]): string {
  const bars = cueNames
    .map((label, i) => {
      const present = examples.filter(({ features }) => (features.cues[i] ?? 0) > 0);
      const sum = present.reduce((total, { features }) => total + (features.cues[i] ?? 0), 0);
      const mean = present.length < 20 ? 0 : sum / present.length;
      return { label, effect: mean * (model.parallel.cues[i] ?? 0) };
    })
    .sort((a, b) => Math.abs(b.effect) - Math.abs(a.effect))
    .slice(0, shown)
    .map(({ label, effect }) => ({
      label: `${label} (${effect > 0 ? "parallel" : "serial"})`,
      value: Math.abs(effect),
      shown: `${effect > 0 ? "+" : "−"}${Math.abs(effect).toFixed(2)}`,
    }));
  return barChart("What a cue adds to the log-odds where it is present", bars);
}
