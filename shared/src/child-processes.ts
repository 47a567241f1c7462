// The children of a process, on Linux. For tests that kill them, and that see whether they have ended.
import { readFileSync } from "node:fs";

/** Process ids; none if the process has ended. */
export function childProcesses(pid: number): number[] {
  try {
    return readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8")
      .split(" ")
      .filter((text) => text !== "")
      .map(Number);
  } catch {
    return [];
  }
}

/** A process that has ended, but whose parent has not looked, does not run. */
export function runs(pid: number): boolean {
  try {
    return !/^\d+ \(.*\) [ZX] /s.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
  } catch {
    return false;
  }
}
