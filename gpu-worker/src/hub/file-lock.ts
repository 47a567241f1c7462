// Locks between processes, in the form of huggingface_hub (flock), so that its tools wait for ours too.
import { closeSync, fstatSync, mkdirSync, openSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { lockFile } from "@anabranch/native";

/** flock has no way to wait that leaves the process responsive, so it is tried this often. */
const RETRY_MS = 100;

/**
 * Runs `task` while this process holds the lock. A process that dies lets go of it.
 * @param onWait called once if another process holds it
 */
export async function withFileLock<T>(
  path: string,
  onWait: () => void,
  task: () => Promise<T>,
): Promise<T> {
  mkdirSync(dirname(path), { recursive: true });
  for (let waited = false; ; await sleep(RETRY_MS)) {
    const file = openSync(path, "a", 0o664);
    try {
      if (tryLock(file, path)) return await task();
    } finally {
      closeSync(file);
    }
    if (!waited) onWait();
    waited = true;
  }
}

function tryLock(file: number, path: string): boolean {
  try {
    if (!lockFile(file)) return false;
  } catch (error) {
    throw new Error(
      `${path} ${(error as Error).message}; set HF_HUB_CACHE to a folder on a local disk`,
    );
  }
  // A tool that removes its lock files may have removed this one before it was locked.
  const now = statSync(path, { throwIfNoEntry: false });
  return now?.ino === fstatSync(file).ino;
}
