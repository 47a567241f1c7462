// One repository's folder in the cache that Hugging Face's own tools share:
//   models--OWNER--NAME/blobs/HASH                    the contents of files
//   models--OWNER--NAME/snapshots/COMMIT/PATH         links to them
//   models--OWNER--NAME/refs/REVISION                 the commit of a branch or tag
//   .locks/models--OWNER--NAME/HASH.lock              held while a blob is written
// Source: "Understand caching" in the documentation of huggingface_hub.
import { randomUUID } from "node:crypto";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname, join, relative } from "node:path";
import { getRepoFolderName } from "@huggingface/hub";

export const isCommit = (revision: string): boolean => /^[0-9a-f]{40}$/.test(revision);

export class RepoCache {
  readonly #folder: string;
  readonly #locks: string;

  constructor(cacheFolder: string, repo: string) {
    const name = getRepoFolderName({ type: "model", name: repo });
    this.#folder = join(cacheFolder, name);
    this.#locks = join(cacheFolder, ".locks", name);
  }

  blob(hash: string): string {
    return join(this.#folder, "blobs", hash);
  }

  lock(hash: string): string {
    return join(this.#locks, `${hash}.lock`);
  }

  snapshot(commit: string): string {
    return join(this.#folder, "snapshots", commit);
  }

  /** The commit that a revision had when it was last looked up. */
  commitOf(revision: string): string | undefined {
    if (isCommit(revision)) return revision;
    const path = join(this.#folder, "refs", revision);
    return existsSync(path) ? readFileSync(path, "utf8").trim() : undefined;
  }

  remember(revision: string, commit: string): void {
    if (revision === commit || this.commitOf(revision) === commit) return;
    replace(join(this.#folder, "refs", revision), (path) => writeFileSync(path, commit));
  }

  has(commit: string, path: string): boolean {
    return existsSync(join(this.snapshot(commit), path));
  }

  /** Makes a blob visible as a file of a snapshot. */
  link(commit: string, path: string, hash: string): void {
    if (this.has(commit, path)) return;
    const pointer = join(this.snapshot(commit), path);
    const target = relative(dirname(pointer), this.blob(hash));
    replace(pointer, (temporary) => symlinkSync(target, temporary));
  }

  /** The files of a snapshot that are here, as paths in the repository. */
  files(commit: string): string[] {
    const folder = this.snapshot(commit);
    if (!existsSync(folder)) return [];
    return (readdirSync(folder, { recursive: true }) as string[]).filter((path) =>
      this.has(commit, path),
    );
  }
}

/** Writes beside `path`, then takes its place at once: other processes see the old or the new one. */
function replace(path: string, write: (temporary: string) => void): void {
  mkdirSync(dirname(path), { recursive: true });
  const temporary = join(dirname(path), `.${randomUUID()}.tmp`);
  try {
    write(temporary);
    renameSync(temporary, path);
  } finally {
    rmSync(temporary, { force: true });
  }
}
