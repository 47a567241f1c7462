// How a subject reports: progress on stderr, rounded figures, columns of a table, the machine.
import { availableParallelism, cpus } from "node:os";

/** Prints one line of progress. */
export const say = (line: string): void => {
  process.stderr.write(`${line}\n`);
};

/** To a thousandth. */
export const round = (value: number): number => Number(value.toFixed(3));

/** Rows of cells as lines, each cell right-aligned in ten characters. */
export const columns = (rows: readonly (readonly string[])[]): string[] =>
  rows.map((row) => row.map((cell) => cell.padStart(10)).join(""));

export interface Machine {
  cpu: string;
  cores: number;
  /** Threads of the engine. */
  threads: number;
}

export const thisMachine = (threads: number): Machine => ({
  cpu: cpus()[0]?.model.trim() ?? "",
  cores: availableParallelism(),
  threads,
});
