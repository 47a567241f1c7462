// A process's children and memory, on Linux. For tests that kill them and see whether they have ended, and for benchmarks.
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

const withChildren = (pid: number): number[] => [pid, ...childProcesses(pid).flatMap(withChildren)];

/** MiB in use by a process and its children. */
export function residentMiB(pid: number): number {
  const kib = withChildren(pid).map((each) => {
    try {
      const status = readFileSync(`/proc/${each}/status`, "utf8");
      return Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1] ?? 0);
    } catch {
      return 0;
    }
  });
  return kib.reduce((sum, each) => sum + each, 0) / 1024;
}
