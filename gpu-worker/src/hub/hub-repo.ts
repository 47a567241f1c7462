// One repository of the hub at one commit: what it holds, and its files.
import { type ListFileEntry, listFiles, modelInfo } from "@huggingface/hub";
import { isCommit, type RepoCache } from "./cache.ts";
import { download, type RemoteFile, remoteFile } from "./download.ts";
import { progressOf } from "./progress.ts";
import { type HubReference, textOf } from "./reference.ts";
import { HubError, hubFetch } from "./requests.ts";
import type { HubSettings } from "./settings.ts";

export class HubRepo {
  readonly commit: string;
  readonly fetch: typeof fetch;
  readonly #reference: HubReference;
  readonly #cache: RepoCache;
  readonly #settings: HubSettings;
  readonly #entries: ReadonlyMap<string, ListFileEntry>;

  private constructor(
    reference: HubReference,
    cache: RepoCache,
    settings: HubSettings,
    commit: string,
    entries: ReadonlyMap<string, ListFileEntry>,
  ) {
    this.#reference = reference;
    this.#cache = cache;
    this.#settings = settings;
    this.#entries = entries;
    this.commit = commit;
    this.fetch = hubFetch(settings, reference.repo);
  }

  /** @throws HubError, HubUnreachable */
  static async open(
    reference: HubReference,
    cache: RepoCache,
    settings: HubSettings,
  ): Promise<HubRepo> {
    const { repo, revision } = reference;
    const hub = { hubUrl: settings.endpoint, fetch: hubFetch(settings, repo) };
    const { sha: commit } = await modelInfo({
      ...{ ...hub, name: repo, revision },
      additionalFields: ["sha"],
    });
    if (!isCommit(commit)) throw new HubError(`${hub.hubUrl} gives no commit of ${repo}`);
    const entries = new Map<string, ListFileEntry>();
    for await (const entry of listFiles({ ...hub, repo, revision: commit, recursive: true })) {
      if (entry.type === "file" && isInside(entry.path)) entries.set(entry.path, entry);
    }
    return new HubRepo(reference, cache, settings, commit, entries);
  }

  /** Paths of all its files. */
  get names(): string[] {
    return [...this.#entries.keys()];
  }

  /** @throws HubError if there is no such file */
  file(path: string): RemoteFile {
    const entry = this.#entries.get(path);
    if (entry) return remoteFile(entry);
    throw new HubError(`${textOf(this.#reference)}: the repository has no file ${path}`);
  }

  url(path: string): string {
    const at = path.split("/").map(encodeURIComponent).join("/");
    return `${this.#settings.endpoint}/${this.#reference.repo}/resolve/${this.commit}/${at}`;
  }

  /** Those of the files that the cache does not have. */
  missing(paths: readonly string[]): RemoteFile[] {
    return paths
      .filter((path) => !this.#cache.has(this.commit, path))
      .map((path) => this.file(path));
  }

  /** Brings files into the cache. */
  async bring(paths: readonly string[]): Promise<void> {
    const missing = this.missing(paths);
    if (missing.length === 0) return;
    const total = missing.reduce((sum, { size }) => sum + size, 0);
    const progress = progressOf(textOf(this.#reference), total);
    const { fetch } = this;
    try {
      for (const file of missing) {
        await download({ file, url: this.url(file.path), cache: this.#cache, fetch, progress });
        this.#cache.link(this.commit, file.path, file.hash);
      }
    } finally {
      progress.end();
    }
  }

  /** Bytes `from` to `to`, without it, of a file. */
  async range(path: string, from: number, to: number): Promise<Buffer> {
    const headers = { range: `bytes=${from}-${to - 1}` };
    const response = await this.fetch(this.url(path), { headers });
    if (response.status !== 206) {
      await response.body?.cancel();
      throw new HubError(`the hub does not send parts of ${path}: fetch the model first`);
    }
    return Buffer.from(await response.arrayBuffer());
  }
}

/** Paths come from the hub: none may lead out of the cache. */
const isInside = (path: string): boolean =>
  !path.startsWith("/") && !path.includes("\\") && !path.split("/").includes("..");
