// A prompt with its structure: the engine's runs, and how they are put together.
import type { StructureRun } from "@anabranch/native";

/** A stage of an answer, as its tokens. */
export interface StageIds {
  /** From the first title marker through the fork. */
  plan: number[];
  /** Each from its opening through its end. */
  branches: number[][];
  /** What the trunk is resumed with. */
  join: number[];
}

/** All ids in the order of the serialised form. */
export const idsOfRuns = (runs: readonly StructureRun[]): number[] =>
  runs.flatMap((run) => ("serial" in run ? run.serial : run.parallel.flat()));

/**
 * Puts runs together as decoding makes segments, so that what it left in the prefix cache is found:
 * serial text goes on in the segment under way, a plan and each branch have one of their own, and the
 * join begins the next.
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
