// Figures from the answers of two models to the same tasks: accuracy, branching, speed.

import { type Family, families as familyNames, type Task } from "@anabranch/training/tasks/task.ts";
import { median } from "./quantiles.ts";

/** One answer as a client saw it. */
export interface Answer {
  correct: boolean;
  steps: number;
  branches: number;
  visibleTokens: number;
  /** Milliseconds from sending the request to the last byte, one per run; empty if not timed. */
  wall: number[];
}

/** A task with the answers of the serial twin and of the branching model. */
export interface Answered {
  task: Pick<Task, "family" | "kind" | "parallel">;
  serial: Answer;
  parallel: Answer;
}

/** The twin's figures over ours: mean and largest ratio over the parallel tasks that both answer correctly. */
export interface SpeedUp {
  tasks: number;
  wall: { mean: number | null; max: number | null };
  /** The twin's decode steps over ours. */
  steps: { mean: number | null; max: number | null };
  /** Mean visible tokens of the compared answers. */
  visible_tokens: { serial: number | null; parallel: number | null };
}

export interface Accuracy {
  tasks: number;
  serial: { accuracy: number | null };
  parallel: { accuracy: number | null };
  /** Our accuracy minus the twin's in percentage points, with the 95% interval of the paired differences. */
  difference: { points: number | null; low: number | null; high: number | null };
}

export interface FamilyFigures extends Accuracy {
  speedup: SpeedUp;
  kinds: Record<string, Accuracy & { parallel_tasks: number; branched: number }>;
}

export interface Figures extends Accuracy {
  /** Precision: share of the tasks that we branched on that should branch. Recall: share of the tasks that should branch on which we did. */
  trigger: { precision: number | null; recall: number | null };
  speedup: SpeedUp;
  families: Partial<Record<Family, FamilyFigures>>;
}

const mean = (values: readonly number[]) =>
  values.length === 0 ? null : values.reduce((sum, value) => sum + value, 0) / values.length;
const max = (values: readonly number[]) => (values.length === 0 ? null : Math.max(...values));
const share = <T>(of: readonly T[], is: (each: T) => boolean) => mean(of.map((each) => +is(each)));

function accuracy(rows: readonly Answered[]): Accuracy {
  const differences = rows.map(({ serial, parallel }) => +parallel.correct - +serial.correct);
  const points = mean(differences);
  const variance = points === null ? null : mean(differences.map((d) => (d - points) ** 2));
  const half = variance === null ? null : 1.96 * Math.sqrt(variance / rows.length);
  return {
    tasks: rows.length,
    serial: { accuracy: share(rows, ({ serial }) => serial.correct) },
    parallel: { accuracy: share(rows, ({ parallel }) => parallel.correct) },
    difference: {
      points: points === null ? null : 100 * points,
      low: points === null || half === null ? null : 100 * (points - half),
      high: points === null || half === null ? null : 100 * (points + half),
    },
  };
}

function speedUp(rows: readonly Answered[]): SpeedUp {
  const both = rows.filter(
    ({ task, serial, parallel }) => task.parallel && serial.correct && parallel.correct,
  );
  const timed = both.filter(({ serial, parallel }) => serial.wall.length && parallel.wall.length);
  const wall = timed.map(({ serial, parallel }) => median(serial.wall) / median(parallel.wall));
  const steps = both.map(({ serial, parallel }) => serial.steps / parallel.steps);
  return {
    tasks: timed.length,
    wall: { mean: mean(wall), max: max(wall) },
    steps: { mean: mean(steps), max: max(steps) },
    visible_tokens: {
      serial: mean(both.map(({ serial }) => serial.visibleTokens)),
      parallel: mean(both.map(({ parallel }) => parallel.visibleTokens)),
    },
  };
}

export function figures(rows: readonly Answered[]): Figures {
  const families: Figures["families"] = {};
  for (const family of familyNames) {
    const own = rows.filter(({ task }) => task.family === family);
    if (own.length === 0) continue;
    const kinds: FamilyFigures["kinds"] = {};
    for (const kind of [...new Set(own.map(({ task }) => task.kind))].sort()) {
      const its = own.filter(({ task }) => task.kind === kind);
      kinds[kind] = {
        ...accuracy(its),
        parallel_tasks: its.filter(({ task }) => task.parallel).length,
        branched: its.filter(({ parallel }) => parallel.branches > 0).length,
      };
    }
    families[family] = { ...accuracy(own), speedup: speedUp(own), kinds };
  }
  const branched = rows.filter(({ parallel }) => parallel.branches > 0);
  const should = rows.filter(({ task }) => task.parallel);
  return {
    ...accuracy(rows),
    trigger: {
      precision: share(branched, ({ task }) => task.parallel),
      recall: share(should, ({ parallel }) => parallel.branches > 0),
    },
    speedup: speedUp(rows),
    families,
  };
}
