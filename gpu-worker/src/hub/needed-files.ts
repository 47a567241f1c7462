// Which files of a repository a model needs.
import { posix } from "node:path";
import { ggufModels, partsOf } from "../model/gguf-parts.ts";
import { type HubReference, textOf } from "./reference.ts";

/** Read by the worker or the engine, besides the weights. */
const SMALL_FILES = [
  "config.json",
  "generation_config.json",
  "tokenizer.json",
  "tokenizer_config.json",
  "chat_template.jinja",
  "aspd.json",
];
/** Its presence makes a folder a LoRA adapter. */
export const ADAPTER_CONFIG = "adapter_config.json";
const SMALL_ADAPTER_FILES = [
  ADAPTER_CONFIG,
  "tokenizer.json",
  "tokenizer_config.json",
  "chat_template.jinja",
  "aspd.json",
];
const ADAPTER_WEIGHTS = "adapter_model.safetensors";
export const WEIGHTS = "model.safetensors";
export const WEIGHTS_INDEX = "model.safetensors.index.json";

/** At most this many names are listed in an error. */
const MAX_LISTED = 40;

export interface NeededFiles {
  format: "folder" | "gguf";
  /** The file to open, as a path in the repository; empty: the folder itself. */
  open: string;
  /** In the order in which they are fetched: small ones first. */
  files: string[];
}

/**
 * @param names every file of the repository, as paths in it
 * @throws Error if the repository has no such model, or several
 */
export function neededFiles(reference: HubReference, names: readonly string[]): NeededFiles {
  const has = new Set(names);
  if (reference.file !== undefined) return ggufFiles(reference, reference.file, has);
  if (has.has("config.json") && (has.has(WEIGHTS) || has.has(WEIGHTS_INDEX))) {
    const small = SMALL_FILES.filter((name) => has.has(name));
    const weights = has.has(WEIGHTS) ? WEIGHTS : WEIGHTS_INDEX;
    return { format: "folder", open: "", files: [...small, weights] };
  }
  if (has.has(ADAPTER_CONFIG)) {
    throw new Error(
      `${textOf(reference)} is a LoRA adapter, not a model: give its base model with --model, and it with --adapter NAME=${textOf(reference)}`,
    );
  }
  const models = ggufModels(names);
  const [only] = models;
  if (only !== undefined && models.length === 1) return ggufFiles(reference, only, has);
  if (models.length > 1) {
    throw new Error(
      `${textOf(reference)} has ${models.length} GGUF files; name one of\n${listed(models, reference)}`,
    );
  }
  const other = names.filter((name) => /\.(bin|pth|pt|h5|msgpack|onnx|safetensors)$/.test(name));
  throw new Error(
    `${textOf(reference)} has no model that can be served: neither config.json with ${WEIGHTS} nor a .gguf file` +
      (other.length > 0 ? ` (it has ${other.slice(0, 3).join(", ")})` : ""),
  );
}

/**
 * The same for a LoRA adapter.
 * @throws Error if the repository has none
 */
export function neededAdapterFiles(reference: HubReference, names: readonly string[]): NeededFiles {
  const has = new Set(names);
  if (has.has(ADAPTER_CONFIG) && has.has(ADAPTER_WEIGHTS)) {
    const small = SMALL_ADAPTER_FILES.filter((name) => has.has(name));
    return { format: "folder", open: "", files: [...small, ADAPTER_WEIGHTS] };
  }
  throw new Error(
    `${textOf(reference)} has no adapter that can be served: it needs ${ADAPTER_CONFIG} and ${ADAPTER_WEIGHTS}` +
      (has.has("adapter_model.bin") ? " (adapter_model.bin is not read)" : ""),
  );
}

function ggufFiles(reference: HubReference, file: string, has: Set<string>): NeededFiles {
  const parts = partsOf(file);
  const missing = parts.find((part) => !has.has(part));
  if (missing !== undefined) {
    const models = ggufModels([...has]);
    throw new Error(
      `${textOf(reference)}: the repository has no file ${missing}; ` +
        (models.length > 0 ? `it has\n${listed(models, reference)}` : "it has no .gguf file"),
    );
  }
  // A dialect for a GGUF file lies beside it.
  const dialect = posix.join(posix.dirname(file), "aspd.json");
  return {
    format: "gguf",
    open: parts[0] ?? file,
    files: [...(has.has(dialect) ? [dialect] : []), ...parts],
  };
}

function listed(models: readonly string[], { repo, revision }: HubReference): string {
  const lines = models.slice(0, MAX_LISTED).map((file) => `  ${textOf({ repo, revision, file })}`);
  const more = models.length - lines.length;
  return [...lines, ...(more > 0 ? [`  and ${more} more`] : [])].join("\n");
}

/**
 * The files that an index of shards names.
 * @throws Error if it names none, or a path outside the repository's folder
 */
export function shardsOf(indexPath: string, index: unknown): string[] {
  const map = (index as { weight_map?: unknown } | null)?.weight_map;
  const shards = typeof map === "object" && map !== null ? [...new Set(Object.values(map))] : [];
  if (shards.length === 0) throw new Error(`${indexPath}: has no weight_map`);
  for (const shard of shards) {
    if (typeof shard !== "string" || !/^[^/\\.][^/\\]*$/.test(shard)) {
      throw new Error(`${indexPath}: weight_map names ${shard}, which is no file of the folder`);
    }
  }
  return (shards as string[]).sort();
}
