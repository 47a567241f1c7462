// From what a user gives as `--model` to files on this machine.
import { readdirSync, type Stats, statSync } from "node:fs";
import { join, resolve } from "node:path";
import { UsageError } from "@anabranch/shared/cli/options.ts";
import { ADAPTER_CONFIG } from "../hub/needed-files.ts";
import { HUB_PREFIX, parseHubReference } from "../hub/reference.ts";
import { ggufModels, isGguf } from "./gguf-parts.ts";

export interface LocatedModel {
  /** A Hugging Face folder, or a GGUF file (of a split model any part). */
  format: "folder" | "gguf";
  path: string;
  /** The name that clients ask for; absent: what the files say. */
  name?: string;
}

/** For help texts. */
export const modelHelp =
  "a folder in Hugging Face format, a .gguf file, or hf:OWNER/NAME[@REVISION][:FILE.gguf]";

/**
 * Finds a model by its path, or fetches it from the hub.
 * @throws Error that says what is wrong with the path, or what keeps the model from being fetched
 */
export async function locateModel(given: string): Promise<LocatedModel> {
  if (given.trim() === "") throw new UsageError("the model's path is empty");
  if (!given.startsWith(HUB_PREFIX)) return locatePath(given);
  const reference = parseHubReference(given);
  // It loads the engine's addon, which commands that read only files do without.
  const { fetchModel } = await import("../hub/fetch-model.ts");
  const { format, path } = await fetchModel(reference);
  return { format, path, ...(format === "folder" && { name: reference.repo }) };
}

/** @throws Error naming the path and what it lacks */
export function locatePath(given: string): LocatedModel {
  const path = resolve(given);
  if (!infoOf(path).isDirectory()) {
    if (isGguf(path)) return { format: "gguf", path };
    throw new Error(
      /\.(safetensors|json|bin)$/i.test(path)
        ? `${path}: is one file of a model; give the folder that holds config.json`
        : `${path}: is neither a folder nor a .gguf file`,
    );
  }
  const names = readdirSync(path);
  if (names.includes("config.json")) return { format: "folder", path };
  if (names.includes(ADAPTER_CONFIG)) {
    throw new Error(
      `${path}: is a LoRA adapter, not a model; give its base model with --model, and it with --adapter NAME=${path}`,
    );
  }
  const models = ggufModels(names);
  const [only] = models;
  if (only === undefined) {
    throw new Error(`${path}: has neither config.json (a Hugging Face model) nor a .gguf file`);
  }
  if (models.length === 1) return { format: "gguf", path: join(path, only) };
  const listed = models.map((name) => `  ${join(path, name)}`).join("\n");
  throw new Error(`${path}: has ${models.length} GGUF models; give one of\n${listed}`);
}

function infoOf(path: string): Stats {
  try {
    return statSync(path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "EACCES") throw new Error(`${path}: no permission to read it`);
    throw new Error(
      `${path}: there is no such folder or file (relative paths start at the repository's root; ` +
        `a model of the Hugging Face Hub is ${HUB_PREFIX}OWNER/NAME)`,
    );
  }
}
