// What a worker serves: its model, and the model with each of its adapters.
import { Code, ConnectError } from "@connectrpc/connect";
import { adaptedModelId } from "./engine/adapted-model-id.ts";
import type { EngineSupervisor } from "./engine/supervisor.ts";
import { log } from "./log.ts";
import { adapterText, engineAdapter, locateAdapter } from "./model/adapter.ts";
import { checkAdapterName } from "./model/adapter-source.ts";
import type { TextModel } from "./model/text-model.ts";

export interface ServedModel {
  text: TextModel;
  /** The adapter's name; empty: the model itself. */
  adapter: string;
}

export class ServedModels {
  readonly base: TextModel;
  readonly #engine: EngineSupervisor;
  /** The text of answers with each, by name. */
  readonly #adapters: Map<string, TextModel>;
  /** Names that are being loaded. */
  readonly #coming = new Set<string>();

  /**
   * @param adapters those with which the engine starts: the text of each, by name
   */
  constructor(base: TextModel, engine: EngineSupervisor, adapters: ReadonlyMap<string, TextModel>) {
    this.base = base;
    this.#engine = engine;
    this.#adapters = new Map(adapters);
  }

  /** Undefined if the worker does not serve this model. */
  find(model: string): ServedModel | undefined {
    if (model === this.base.id) return { text: this.base, adapter: "" };
    for (const [adapter, text] of this.#adapters) {
      if (model === adaptedModelId(this.base.id, adapter)) return { text, adapter };
    }
    return undefined;
  }

  /**
   * Finds or fetches an adapter and serves it.
   * @returns the name that clients ask for
   * @throws Error that says what is wrong
   */
  async load(name: string, source: string): Promise<string> {
    checkAdapterName(name);
    if (this.#adapters.has(name) || this.#coming.has(name)) {
      throw new ConnectError(`there is an adapter "${name}" already`, Code.AlreadyExists);
    }
    this.#coming.add(name);
    try {
      const located = await locateAdapter({ name, source });
      const text = adapterText(this.base, located);
      await this.#engine.loadAdapter(engineAdapter(located, text));
      this.#adapters.set(name, text);
    } finally {
      this.#coming.delete(name);
    }
    const id = adaptedModelId(this.base.id, name);
    log.info(`serving ${id}`);
    return id;
  }

  async unload(name: string): Promise<void> {
    if (!this.#adapters.delete(name)) {
      throw new ConnectError(`there is no adapter "${name}"`, Code.NotFound);
    }
    log.info(`no longer serving ${adaptedModelId(this.base.id, name)}`);
    await this.#engine.unloadAdapter(name);
  }
}
