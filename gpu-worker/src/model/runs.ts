// A prompt with its structure, as the engine's runs.
import type { StructureRun } from "@anabranch/native";

/** The tokens of one stage. */
export interface StageIds {
  /** From the first title marker through the fork trigger. */
  plan: number[];
  /** Each from its opening through its end marker. */
  branches: number[][];
  /** The tokens with which the trunk resumes. */
  join: number[];
}

/** All ids in the order of the serialised form. */
export const idsOfRuns = (runs: readonly StructureRun[]): number[] =>
  runs.flatMap((run) => ("serial" in run ? run.serial : run.parallel.flat()));

/**
 * Builds runs the way decoding builds segments, so that the prefix cache is hit: serial text continues the
 * current segment, a plan and each branch have a segment of their own, and the join starts the next.
 */
export class RunBuilder {
  readonly #runs: StructureRun[] = [];
  #serial: number[] = [];

  serial(ids: readonly number[]): void {
    for (const id of ids) this.#serial.push(id);
  }

  stage({ plan, branches, join }: StageIds): void {
    this.#runs.push({ serial: this.#serial }, { serial: plan }, { parallel: branches });
    this.#serial = [...join];
  }

  /** The first and the last are serial. */
  get runs(): StructureRun[] {
    return [...this.#runs, { serial: this.#serial }];
  }
}
