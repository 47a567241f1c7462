// Fetches a model of the Hugging Face Hub into the shared cache, or finds it there.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { isCommit, RepoCache } from "./cache.ts";
import { HubRepo } from "./hub-repo.ts";
import {
  type NeededFiles,
  neededAdapterFiles,
  neededFiles,
  shardsOf,
  WEIGHTS_INDEX,
} from "./needed-files.ts";
import { type HubReference, textOf } from "./reference.ts";
import { HubUnreachable } from "./requests.ts";
import { type HubSettings, hubSettings } from "./settings.ts";

export interface FetchedModel {
  format: "folder" | "gguf";
  /** The folder, or the GGUF file (of a split model the first part), in the cache. */
  path: string;
  commit: string;
  /** Paths in the repository. */
  files: string[];
}

/** Chooses from the names of a repository's files. */
type Choose = (reference: HubReference, names: readonly string[]) => NeededFiles;

/** @throws Error that says what to do: the name, the token, the connection or the disk */
export const fetchModel = (reference: HubReference): Promise<FetchedModel> =>
  fetchFiles(reference, neededFiles);

/** The same for a LoRA adapter. */
export const fetchAdapter = (reference: HubReference): Promise<FetchedModel> =>
  fetchFiles(reference, neededAdapterFiles);

async function fetchFiles(reference: HubReference, choose: Choose): Promise<FetchedModel> {
  const settings = hubSettings();
  const cache = new RepoCache(settings.cacheFolder, reference.repo);
  const cached = cachedModel(reference, cache, choose);
  if (settings.offline) {
    if (cached) return cached;
    throw notCached(reference, settings);
  }
  // The files of a commit don't change.
  if (cached && isCommit(reference.revision)) return cached;
  try {
    return await fetchFrom(reference, cache, settings, choose);
  } catch (error) {
    if (!(error instanceof HubUnreachable) || !cached) throw error;
    process.stderr.write(`${error.message}; ${textOf(reference)} is taken from the cache\n`);
    return cached;
  }
}

export const notCached = (reference: HubReference, { cacheFolder }: HubSettings): Error =>
  new Error(
    `${textOf(reference)} is not, or not completely, in ${cacheFolder}, and HF_HUB_OFFLINE forbids to fetch it`,
  );

/** The model as an earlier call left it; undefined unless all its files are there. */
export function cachedModel(
  reference: HubReference,
  cache: RepoCache,
  choose: Choose = neededFiles,
): FetchedModel | undefined {
  const commit = cache.commitOf(reference.revision);
  if (commit === undefined) return undefined;
  let needed: NeededFiles;
  try {
    needed = choose(reference, cache.files(commit));
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
export function shardsIn(cache: RepoCache, commit: string, { files }: NeededFiles): string[] {
  if (!files.includes(WEIGHTS_INDEX)) return [];
  const path = join(cache.snapshot(commit), WEIGHTS_INDEX);
  return shardsOf(path, JSON.parse(readFileSync(path, "utf8")));
}

async function fetchFrom(
  reference: HubReference,
  cache: RepoCache,
  settings: HubSettings,
  choose: Choose,
): Promise<FetchedModel> {
  const repo = await HubRepo.open(reference, cache, settings);
  const { commit } = repo;
  const needed = choose(reference, repo.names);
  await repo.bring(needed.files);
  const shards = shardsIn(cache, commit, needed);
  await repo.bring(shards);
  cache.remember(reference.revision, commit);
  return fetched(cache, commit, needed, [...needed.files, ...shards]);
}
