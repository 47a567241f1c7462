// A LoRA adapter beside its model: its name, its folder, and what of text it changes.
import { existsSync, readdirSync, statSync } from "node:fs";
import { join, resolve } from "node:path";
import type { AdapterSource as EngineAdapterSource } from "@anabranch/native";
import { ADAPTER_CONFIG } from "../hub/needed-files.ts";
import { HUB_PREFIX, parseHubReference } from "../hub/reference.ts";
import type { AdapterSource } from "./adapter-source.ts";
import { readDialect } from "./dialect.ts";
import { readFolder, readJson } from "./model-files.ts";
import { TextModel } from "./text-model.ts";

/** An adapter that is on this machine. */
export interface LocatedAdapter {
  name: string;
  /** Its folder. */
  path: string;
}

/**
 * The folder of an adapter, which is fetched if it is one of the hub.
 * @throws Error that says what is wrong with the path, or what keeps it from being fetched
 */
export async function locateAdapter({ name, source }: AdapterSource): Promise<LocatedAdapter> {
  if (source.startsWith(HUB_PREFIX)) {
    const { fetchAdapter } = await import("../hub/fetch-model.ts");
    return { name, path: (await fetchAdapter(parseHubReference(source))).path };
  }
  const path = resolve(source);
  if (!statSync(path, { throwIfNoEntry: false })?.isDirectory()) {
    throw new Error(`${path}: there is no such folder`);
  }
  if (!existsSync(join(path, ADAPTER_CONFIG))) {
    throw new Error(`${path}: has no ${ADAPTER_CONFIG}, so it is no adapter as PEFT saves them`);
  }
  return { name, path };
}

/** What an adapter's own files say of it. */
export interface AdapterSummary {
  path: string;
  /** null: its configuration does not say. */
  rank: number | null;
  base: string | null;
}

/** The adapters in the folders of `folder`, and in those of its folder `adapters`, in order of names. */
export function adaptersIn(folder: string): AdapterSummary[] {
  const inside = (parent: string) =>
    statSync(parent, { throwIfNoEntry: false })?.isDirectory()
      ? readdirSync(parent).map((name) => join(parent, name))
      : [];
  return [...inside(folder), ...inside(join(folder, "adapters"))]
    .filter((path) => existsSync(join(path, ADAPTER_CONFIG)))
    .sort()
    .map((path) => {
      const { r, base_model_name_or_path: base } = readJson(join(path, ADAPTER_CONFIG));
      return {
        path,
        rank: typeof r === "number" ? r : null,
        base: typeof base === "string" ? base : null,
      };
    });
}

/**
 * The adapter as the engine loads it.
 * @param text of answers with it
 */
export const engineAdapter = (
  { name, path }: LocatedAdapter,
  text: TextModel,
): EngineAdapterSource => ({ name, path, tokens: text.tokenLimit });

/**
 * The text of answers with an adapter: the model's, with the tokenizer, chat template and dialect that the
 * adapter's folder has.
 * @throws Error naming the file that is wrong, also if the tokenizer is not the model's with more tokens
 */
export function adapterText(base: TextModel, { path: folder }: LocatedAdapter): TextModel {
  const { files } = base;
  const own = existsSync(join(folder, "tokenizer.json")) ? readFolder(folder) : undefined;
  const { generationConfig } = files;
  const dialect = readDialect(folder) ?? files.dialect;
  if (!own) return new TextModel({ ...files, dialect }, base.id);
  const hasConfig = Object.keys(own.tokenizerConfig).length > 0;
  const tokenizerConfig = hasConfig ? own.tokenizerConfig : files.tokenizerConfig;
  const chatTemplate = own.chatTemplate ?? files.chatTemplate;
  const text = new TextModel(
    { ...own, tokenizerConfig, chatTemplate, dialect, generationConfig },
    base.id,
  );
  const moved = base.tokenUnlike(text);
  if (moved === undefined) return text;
  throw new Error(
    `${own.tokenizerPath}: token ${JSON.stringify(moved)} is not what it is in the model's tokenizer; ` +
      "an adapter's tokenizer may only add tokens",
  );
}
