// Brings one file of a repository into the cache. The hub library's downloadFileToCacheDir neither resumes,
// nor checks what it got, nor keeps other processes out.
import { createHash, type Hash } from "node:crypto";
import {
  createReadStream,
  existsSync,
  mkdirSync,
  renameSync,
  rmSync,
  statfsSync,
  statSync,
} from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { dirname } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { ListFileEntry } from "@huggingface/hub";
import type { RepoCache } from "./cache.ts";
import { withFileLock } from "./file-lock.ts";
import type { Progress } from "./progress.ts";
import { causeOf, HubError, HubUnreachable } from "./requests.ts";
import { sizeText } from "./sizes.ts";

export interface RemoteFile {
  /** In the repository. */
  path: string;
  size: number;
  /** The name of its blob: SHA-256 of large files, else Git's SHA-1. */
  hash: string;
}

/** @throws HubError if the hub gives no hash */
export function remoteFile({ path, size, oid, lfs }: ListFileEntry): RemoteFile {
  const hash = lfs?.oid ?? oid ?? "";
  if (!/^([0-9a-f]{40}|[0-9a-f]{64})$/.test(hash)) {
    throw new HubError(`${path}: the hub gives no hash of it`);
  }
  return { path, size: lfs?.size ?? size, hash };
}

export interface Download {
  file: RemoteFile;
  url: string;
  cache: RepoCache;
  fetch: typeof fetch;
  progress: Progress;
}

/** So often in a row a download that got no further is tried again, the first time at once. */
const ATTEMPTS = 6;
const PAUSE_MS = 1_000;
/** A connection that brings nothing for so long counts as broken. */
const STALL_MS = 60_000;

/** @throws HubError, HubUnreachable, or Error if the disk is full */
export async function download(task: Download): Promise<void> {
  const { file, cache, progress } = task;
  const blob = cache.blob(file.hash);
  if (existsSync(blob)) return progress.advance(file.size);
  mkdirSync(dirname(blob), { recursive: true });
  const onWait = () => progress.note(`waiting for another process that fetches ${file.path}`);
  await withFileLock(cache.lock(file.hash), onWait, async () => {
    if (existsSync(blob)) return progress.advance(file.size);
    const partial = `${blob}.incomplete`;
    await intoPartial(task, partial);
    renameSync(partial, blob);
  });
}

/** Completes the partial file. It is kept if the connection or the disk fails: the next try goes on there. */
async function intoPartial(task: Download, partial: string): Promise<void> {
  const { file, progress } = task;
  let failures = 0;
  for (;;) {
    const from = existsSync(partial) ? statSync(partial).size : 0;
    if (from > file.size) rmSync(partial);
    checkRoom(partial, file.size - from);
    try {
      const hash = await append(task, partial);
      if (hash === file.hash) return;
      rmSync(partial);
      throw new HubError(
        `${file.path}: what arrived has the hash ${hash}, not ${file.hash}; ` +
          "it was removed. Try again; if it happens again, a proxy or mirror changes the file",
      );
    } catch (error) {
      if (isNoRoom(error)) throw noRoom(partial, file.size);
      if (!(error instanceof HubUnreachable)) throw error;
      failures = existsSync(partial) && statSync(partial).size > from ? 1 : failures + 1;
      if (failures >= ATTEMPTS) throw error;
      progress.note(`${file.path}: ${error.message}; trying again`);
      await sleep(PAUSE_MS * (failures - 1));
    }
  }
}

/** Appends what is missing, and returns the hash of the whole. */
async function append({ file, url, fetch, progress }: Download, partial: string): Promise<string> {
  const hash = hasherOf(file);
  const out = await open(partial, "a");
  let have = 0;
  try {
    for await (const chunk of createReadStream(partial)) {
      hash.update(chunk);
      have += chunk.length;
    }
    progress.at(file.path, have);
    if (have < file.size) have = await receive();
  } finally {
    await out.close();
  }
  if (have < file.size) throw new HubUnreachable(`the connection ended after ${have} bytes`);
  return hash.digest("hex");

  async function receive(): Promise<number> {
    const stop = new AbortController();
    const headers = have > 0 ? { range: `bytes=${have}-` } : {};
    const response = await fetch(url, { headers, signal: stop.signal });
    // A server that can't resume sends the file from its beginning.
    const skip = have > 0 && response.status !== 206 ? have : 0;
    return await writeBody(response, stop, { file, hash, out, have, skip, progress });
  }
}

interface Sink {
  file: RemoteFile;
  hash: Hash;
  out: FileHandle;
  /** Bytes in the partial file. */
  have: number;
  /** Bytes of the body that are there already. */
  skip: number;
  progress: Progress;
}

/** Returns the size of the partial file. */
async function writeBody(response: Response, stop: AbortController, sink: Sink): Promise<number> {
  const { file, hash, out, progress } = sink;
  let { have, skip } = sink;
  const stalled = setTimeout(() => stop.abort(), STALL_MS);
  try {
    for await (const bytes of response.body ?? []) {
      stalled.refresh();
      const chunk = bytes.subarray(Math.min(skip, bytes.length));
      skip -= bytes.length - chunk.length;
      // A longer file than announced can't have the right hash.
      if (have + chunk.length > file.size)
        throw new HubError(`${file.path}: the hub sends more than its size`);
      await out.appendFile(chunk);
      hash.update(chunk);
      have += chunk.length;
      progress.at(file.path, have);
    }
  } catch (error) {
    if (error instanceof HubError || isNoRoom(error)) throw error;
    throw new HubUnreachable(
      stop.signal.aborted ? "the connection stalled" : `the connection broke (${causeOf(error)})`,
    );
  } finally {
    clearTimeout(stalled);
    stop.abort();
  }
  return have;
}

/** Git's hash of a blob has its length before the content. */
function hasherOf({ hash, size }: RemoteFile): Hash {
  return hash.length === 64 ? createHash("sha256") : createHash("sha1").update(`blob ${size}\0`);
}

const isNoRoom = (error: unknown): boolean =>
  error instanceof Error && "code" in error && (error.code === "ENOSPC" || error.code === "EDQUOT");

function checkRoom(partial: string, bytes: number): void {
  const { bavail, bsize } = statfsSync(dirname(partial));
  if (bytes > bavail * bsize) throw noRoom(partial, bytes);
}

function noRoom(partial: string, bytes: number): Error {
  const folder = dirname(partial);
  const { bavail, bsize } = statfsSync(folder);
  return new Error(
    `the disk of ${folder} is full: ${sizeText(bytes)} are needed, ${sizeText(bavail * bsize)} are free; ` +
      "make room, or set HF_HUB_CACHE to a folder on another disk",
  );
}
