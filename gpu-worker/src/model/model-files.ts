// The files of a model that concern text: tokenizer, chat template, name. A Hugging Face folder has them as
// files, a GGUF file in its metadata (gguf.ts).
import { existsSync, readFileSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import { type Dialect, readDialect } from "./dialect.ts";

export type Json = Record<string, unknown>;

export interface ChatTemplate {
  /** Jinja. */
  text: string;
  /** Another one, for requests that offer tools. */
  forTools?: string;
  /** The file, or the key of the metadata, that holds it. */
  origin: string;
}

export interface ModelFiles {
  /** As in tokenizer.json. */
  tokenizer: Json;
  /** As in tokenizer_config.json; empty if there is none. */
  tokenizerConfig: Json;
  /** Undefined: the model has no chat template. */
  chatTemplate: ChatTemplate | undefined;
  /** Undefined: the model does not branch. */
  dialect: Dialect | undefined;
  /** As in generation_config.json; empty if there is none. */
  generationConfig: Json;
  /** The name that clients ask for, unless another is given. */
  name: string;
  /** Named in errors about the tokenizer. */
  tokenizerPath: string;
}

export const readJson = (path: string): Json => JSON.parse(readFileSync(path, "utf8")) as Json;

/** @throws Error naming the file that is missing or wrong */
export function readFolder(folder: string): ModelFiles {
  const tokenizerPath = join(folder, "tokenizer.json");
  const tokenizerConfig = readOptional(join(folder, "tokenizer_config.json"));
  return {
    tokenizer: readNamed(tokenizerPath),
    tokenizerConfig,
    chatTemplate: readChatTemplate(folder, tokenizerConfig),
    dialect: readDialect(folder),
    generationConfig: readOptional(join(folder, "generation_config.json")),
    name: nameOf(folder),
    tokenizerPath,
  };
}

function readChatTemplate(folder: string, tokenizerConfig: Json): ChatTemplate | undefined {
  const origin = "chat_template.jinja";
  const path = join(folder, origin);
  if (existsSync(path)) {
    const forTools = join(folder, "additional_chat_templates", "tool_use.jinja");
    return {
      ...{ text: readFileSync(path, "utf8"), origin },
      ...(existsSync(forTools) && { forTools: readFileSync(forTools, "utf8") }),
    };
  }
  return templateIn(tokenizerConfig);
}

/** The template in tokenizer_config.json: a text, or a list of named ones. */
function templateIn({ chat_template: given }: Json): ChatTemplate | undefined {
  const origin = "tokenizer_config.json";
  if (typeof given === "string") return { text: given, origin };
  if (!Array.isArray(given)) return undefined;
  const named = new Map(
    (given as { name?: unknown; template?: unknown }[])
      .filter(({ template }) => typeof template === "string")
      .map(({ name, template }) => [name, String(template)]),
  );
  const forTools = named.get("tool_use");
  const text = named.get("default") ?? forTools;
  if (text === undefined) return undefined;
  return { text, origin, ...(forTools !== undefined && { forTools }) };
}

/** @throws Error naming the file */
function readNamed(path: string): Json {
  if (!existsSync(path)) throw new Error(`${path}: the model has no such file`);
  try {
    return readJson(path);
  } catch (error) {
    throw new Error(`${path}: ${error instanceof Error ? error.message : error}`);
  }
}

const readOptional = (path: string): Json => (existsSync(path) ? readNamed(path) : {});

/** A model's name: the one in its config, else the name of its folder. */
function nameOf(folder: string): string {
  const named = readOptional(join(folder, "config.json"))._name_or_path;
  if (typeof named === "string" && named !== "" && !/^[./]/.test(named)) return named;
  return basename(resolve(folder));
}
