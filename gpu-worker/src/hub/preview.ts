// A model of the hub without its weights: enough to tell what it is and whether it will run.
import {
  closeSync,
  ftruncateSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  rmSync,
  symlinkSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { gguf } from "@huggingface/gguf";
import { MAX_HEADER } from "../model/tensor-types.ts";
import { RepoCache } from "./cache.ts";
import { cachedModel, notCached, shardsIn } from "./fetch-model.ts";
import { HubRepo } from "./hub-repo.ts";
import { neededFiles } from "./needed-files.ts";
import type { HubReference } from "./reference.ts";
import { HubError } from "./requests.ts";
import { hubSettings } from "./settings.ts";

export interface PreviewedModel {
  format: "folder" | "gguf";
  /** Where its files are for now. Of weights that are not in the cache, the headers are; the rest is holes. */
  path: string;
  /** Bytes that are still to be fetched. */
  missingBytes: number;
  /** Removes what is not in the cache. */
  close(): void;
}

/** @throws Error as fetchModel does */
export async function previewModel(reference: HubReference): Promise<PreviewedModel> {
  const settings = hubSettings();
  const cache = new RepoCache(settings.cacheFolder, reference.repo);
  const cached = cachedModel(reference, cache);
  if (cached) return { ...cached, missingBytes: 0, close: () => {} };
  if (settings.offline) throw notCached(reference, settings);
  const repo = await HubRepo.open(reference, cache, settings);
  const needed = neededFiles(reference, repo.names);
  const isWeights = (path: string) => /\.(safetensors|gguf)$/i.test(path);
  const small = needed.files.filter((path) => !isWeights(path));
  await repo.bring(small);
  const weights = [...needed.files.filter(isWeights), ...shardsIn(cache, repo.commit, needed)];
  const folder = mkdtempSync(join(tmpdir(), "anabranch-preview-"));
  const close = () => rmSync(folder, { recursive: true, force: true });
  try {
    for (const path of [...small, ...weights]) {
      const place = join(folder, path);
      mkdirSync(dirname(place), { recursive: true });
      if (cache.has(repo.commit, path)) symlinkSync(join(cache.snapshot(repo.commit), path), place);
      else writeHeader(place, repo.file(path).size, await headerOf(repo, path));
    }
  } catch (error) {
    close();
    throw error;
  }
  const missingBytes = repo.missing(weights).reduce((sum, { size }) => sum + size, 0);
  return { format: needed.format, path: join(folder, needed.open), missingBytes, close };
}

interface Piece {
  at: number;
  bytes: Buffer;
}

function writeHeader(path: string, size: number, pieces: readonly Piece[]): void {
  const file = openSync(path, "w");
  try {
    for (const { at, bytes } of pieces) writeSync(file, bytes, 0, bytes.length, at);
    ftruncateSync(file, size);
  } finally {
    closeSync(file);
  }
}

/** safetensors: 8 bytes with the length of the header, then that. GGUF: everything before the tensors. */
async function headerOf(repo: HubRepo, path: string): Promise<Piece[]> {
  const piece = async (from: number, to: number): Promise<Piece> => ({
    at: from,
    bytes: await repo.range(path, from, to),
  });
  const { size } = repo.file(path);
  if (path.endsWith(".safetensors")) {
    const length = await piece(0, Math.min(8, size));
    const header = length.bytes.length < 8 ? 0 : Number(length.bytes.readBigUInt64LE());
    if (header > Math.min(MAX_HEADER, size - 8))
      throw new HubError(`${path} is no safetensors file`);
    return [length, await piece(8, 8 + header)];
  }
  const { tensorDataOffset, tensorInfos } = await gguf(repo.url(path), { fetch: repo.fetch });
  const body = Number(tensorDataOffset);
  const pieces = [await piece(0, body)];
  // The only tensor that the configuration is read from.
  const factors = tensorInfos.find(({ name }) => name === "rope_freqs.weight");
  if (factors) {
    const at = body + Number(factors.offset);
    const elements = factors.shape.reduce((product, extent) => product * Number(extent), 1);
    pieces.push(await piece(at, Math.min(size, at + 4 * elements)));
  }
  return pieces;
}
