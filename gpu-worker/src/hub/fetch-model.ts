// Fetches a model of the Hugging Face Hub into the shared cache, or finds it there.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { type ListFileEntry, listFiles, modelInfo } from "@huggingface/hub";
import { isCommit, RepoCache } from "./cache.ts";
import { download, type RemoteFile, remoteFile } from "./download.ts";
import { type NeededFiles, neededFiles, shardsOf, WEIGHTS_INDEX } from "./needed-files.ts";
import { progressOf } from "./progress.ts";
import { type HubReference, textOf } from "./reference.ts";
import { HubError, HubUnreachable, hubFetch } from "./requests.ts";
import { type HubSettings, hubSettings } from "./settings.ts";

export interface FetchedModel {
  format: "folder" | "gguf";
  /** The folder, or the GGUF file (of a split model the first part), in the cache. */
  path: string;
  commit: string;
  /** Paths in the repository. */
  files: string[];
}

/** @throws Error that says what to do: the name, the token, the connection or the disk */
export async function fetchModel(reference: HubReference): Promise<FetchedModel> {
  const settings = hubSettings();
  const cache = new RepoCache(settings.cacheFolder, reference.repo);
  const cached = findCached(reference, cache);
  if (settings.offline) {
    if (cached) return cached;
    throw new Error(
      `${textOf(reference)} is not, or not completely, in ${settings.cacheFolder}, and HF_HUB_OFFLINE forbids to fetch it`,
    );
  }
  // The files of a commit don't change.
  if (cached && isCommit(reference.revision)) return cached;
  try {
    return await fetchFrom(reference, cache, settings);
  } catch (error) {
    if (!(error instanceof HubUnreachable) || !cached) throw error;
    process.stderr.write(`${error.message}; ${textOf(reference)} is taken from the cache\n`);
    return cached;
  }
}

/** The model as an earlier call left it; undefined unless all its files are there. */
function findCached(reference: HubReference, cache: RepoCache): FetchedModel | undefined {
  const commit = cache.commitOf(reference.revision);
  if (commit === undefined) return undefined;
  let needed: NeededFiles;
  try {
    needed = neededFiles(reference, cache.files(commit));
  } catch {
    return undefined; // some file is missing
  }
  const files = [...needed.files, ...shardsIn(cache, commit, needed)];
  if (!files.every((path) => cache.has(commit, path))) return undefined;
  return fetched(cache, commit, needed, files);
}

const fetched = (
  cache: RepoCache,
  commit: string,
  { format, open }: NeededFiles,
  files: string[],
): FetchedModel => ({ format, path: join(cache.snapshot(commit), open), commit, files });

/** The shards of a model whose index is here. */
function shardsIn(cache: RepoCache, commit: string, { files }: NeededFiles): string[] {
  if (!files.includes(WEIGHTS_INDEX)) return [];
  const path = join(cache.snapshot(commit), WEIGHTS_INDEX);
  return shardsOf(path, JSON.parse(readFileSync(path, "utf8")));
}

async function fetchFrom(
  reference: HubReference,
  cache: RepoCache,
  settings: HubSettings,
): Promise<FetchedModel> {
  const { repo, revision } = reference;
  const { endpoint: hubUrl } = settings;
  const hub = { hubUrl, fetch: hubFetch(settings, repo) };
  const { sha: commit } = await modelInfo({
    ...{ ...hub, name: repo, revision },
    additionalFields: ["sha"],
  });
  if (!isCommit(commit)) throw new HubError(`${hubUrl} gives no commit of ${textOf(reference)}`);
  const entries = new Map<string, ListFileEntry>();
  for await (const entry of listFiles({ ...hub, repo, revision: commit, recursive: true })) {
    if (entry.type === "file") entries.set(entry.path, entry);
  }
  const needed = neededFiles(reference, [...entries.keys()]);
  const remote = (path: string): RemoteFile => {
    const entry = entries.get(path);
    if (!entry) throw new HubError(`${textOf(reference)}: the repository has no file ${path}`);
    return remoteFile(entry);
  };
  const bring = async (paths: readonly string[]) => {
    const missing = paths.filter((path) => !cache.has(commit, path)).map(remote);
    if (missing.length === 0) return;
    const total = missing.reduce((sum, { size }) => sum + size, 0);
    const progress = progressOf(textOf(reference), total);
    try {
      for (const file of missing) {
        const at = file.path.split("/").map(encodeURIComponent).join("/");
        const url = `${hubUrl}/${repo}/resolve/${commit}/${at}`;
        await download({ file, url, cache, fetch: hub.fetch, progress });
        cache.link(commit, file.path, file.hash);
      }
    } finally {
      progress.end();
    }
  };
  await bring(needed.files);
  const shards = shardsIn(cache, commit, needed);
  await bring(shards);
  cache.remember(revision, commit);
  return fetched(cache, commit, needed, [...needed.files, ...shards]);
}
