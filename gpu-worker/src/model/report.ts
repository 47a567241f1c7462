// What npm run models -- show says of a model: what it is, what it needs, and whether it will run here.
import { dirname, join } from "node:path";
import { cudaDevices, inspectModel, type ModelInspection } from "@anabranch/native";
import { outlineDialect } from "@anabranch/shared/outline.ts";
import type { SamplingDefaults } from "@anabranch/shared/sampling-defaults.ts";
import { sizeText } from "../hub/sizes.ts";
import { type AdapterSummary, adaptersIn } from "./adapter.ts";
import { ggufHeader, readGguf } from "./gguf.ts";
import { firstPart } from "./gguf-parts.ts";
import type { LocatedModel } from "./locate.ts";
import { type ChatTemplate, type Json, readFolder, readJson } from "./model-files.ts";
import { samplingDefaultsOf } from "./sampling-defaults.ts";
import { type TensorType, tensorTypes } from "./tensor-types.ts";

/** Weights and KV in one combination of formats. */
export interface MemoryNeed {
  device: "cpu" | "cuda";
  dtype: string;
  kvDtype: string;
  weightBytes: number;
  kvBytes: number;
  /** null: this machine has no such device, or its free memory is not known. */
  fits: boolean | null;
}

/** Parts that can't be read are null or empty, and `problems` says why. */
export interface ModelReport {
  path: string;
  format: "folder" | "gguf";
  /** model_type, or general.architecture. */
  family: string | null;
  types: TensorType[];
  parameters: number;
  /** Over all tensors. */
  bitsPerWeight: number | null;
  context: number | null;
  vocabulary: number | null;
  chatTemplate: (Pick<ChatTemplate, "origin"> & { firstLine: string }) | null;
  /** null: every answer is serial. */
  dialect: string | null;
  samplingDefaults: SamplingDefaults | null;
  /** LoRA adapters in the model's folder. */
  adapters: AdapterSummary[];
  /** Tokens of all running requests together. */
  kvTokens: number | null;
  memory: MemoryNeed[];
  /** Of the machine's memory. */
  freeBytes: number;
  runsHere: boolean;
  /** Why it does not run here. */
  problems: string[];
}

/** @param kvTokens default: the model's context */
export async function reportOf(located: LocatedModel, kvTokens?: number): Promise<ModelReport> {
  const problems = new Set<string>();
  const attempt = async <T>(task: () => T | Promise<T>): Promise<T | undefined> => {
    try {
      return await task();
    } catch (error) {
      problems.add(error instanceof Error ? error.message : String(error));
      return undefined;
    }
  };
  const { path, format } = located;
  const identity = await attempt(() => identify(located));
  const types = (await attempt(() => tensorTypes(located))) ?? [];
  const inspection = await attempt(() => inspectModel(path));
  const text = await attempt(() => readText(located));
  const samplingDefaults = await attempt(() => samplingDefaultsOf(text?.generationConfig ?? {}));
  const adapters = await attempt(() => adaptersIn(format === "gguf" ? dirname(path) : path));
  const parameters = types.reduce((sum, type) => sum + type.parameters, 0);
  const bytes = types.reduce((sum, type) => sum + type.bytes, 0);
  const context = inspection?.config.context ?? identity?.context ?? null;
  const tokens = kvTokens ?? context;
  const freeBytes = process.availableMemory();
  const memory = inspection && tokens !== null ? needsOf(inspection, tokens, freeBytes) : [];
  const shortage = shortageIn(memory, freeBytes);
  if (shortage) problems.add(shortage);
  return {
    ...{ path, format, types, parameters, context, memory, freeBytes },
    family: identity?.family ?? null,
    bitsPerWeight: parameters > 0 ? (8 * bytes) / parameters : null,
    vocabulary: inspection?.config.vocabulary ?? identity?.vocabulary ?? null,
    chatTemplate: text?.chatTemplate ?? null,
    dialect: text?.dialect ?? null,
    samplingDefaults: samplingDefaults ?? null,
    adapters: adapters ?? [],
    kvTokens: tokens,
    runsHere: problems.size === 0,
    problems: [...problems],
  };
}

interface Identity {
  family: string | null;
  context: number | null;
  vocabulary: number | null;
}

/** What the files say of themselves, also for a family that the engine does not know. */
async function identify({ path, format }: LocatedModel): Promise<Identity> {
  const number = (value: unknown) => (typeof value === "number" ? value : null);
  const word = (value: unknown) => (typeof value === "string" ? value : null);
  if (format === "folder") {
    const config = readJson(join(path, "config.json"));
    return {
      family: word(config.model_type),
      context: number(config.max_position_embeddings),
      vocabulary: number(config.vocab_size),
    };
  }
  const { metadata } = await ggufHeader(firstPart(path));
  const values = metadata as unknown as Json;
  const family = word(values["general.architecture"]);
  const tokens = values["tokenizer.ggml.tokens"];
  return {
    family,
    context: number(values[`${family}.context_length`]),
    vocabulary: Array.isArray(tokens) ? tokens.length : null,
  };
}

async function readText({ path, format }: LocatedModel) {
  const files = format === "gguf" ? await readGguf(path) : readFolder(path);
  const { chatTemplate, generationConfig } = files;
  return {
    generationConfig,
    chatTemplate: chatTemplate
      ? {
          origin: chatTemplate.origin,
          firstLine: chatTemplate.text.trimStart().split("\n", 1)[0] ?? "",
        }
      : null,
    dialect: files.dialect?.name ?? outlineDialect,
  };
}

function needsOf({ memory }: ModelInspection, tokens: number, freeBytes: number): MemoryNeed[] {
  return memory.map(({ device, dtype, kvDtype, weightBytes, kvTokenBytes }) => {
    const kvBytes = tokens * kvTokenBytes;
    const fits = device === "cpu" ? weightBytes + kvBytes <= freeBytes : null;
    return { device, dtype, kvDtype, weightBytes, kvBytes, fits };
  });
}

/** Why no format fits; a GPU's memory is not known before it is used. */
function shortageIn(memory: readonly MemoryNeed[], freeBytes: number): string | undefined {
  const cpu = memory.filter(({ device }) => device === "cpu");
  if (cpu.length === 0 || cpu.some(({ fits }) => fits) || cudaDevices() > 0) return undefined;
  const least = Math.min(...cpu.map(({ weightBytes, kvBytes }) => weightBytes + kvBytes));
  return (
    `it needs at least ${sizeText(least)} of memory, ${sizeText(freeBytes)} are free: ` +
    "give fewer --kv-tokens, or take a smaller model"
  );
}
