// The cost of LoRA adapters: requests that decode together, with random adapters and without.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ModelInspection } from "@anabranch/native";
import type { EngineClient } from "./engine-client.ts";

export const ADAPTER_RANK = 16;

/** All prompts together are prefilled in one step, so that all requests decode in the same steps. */
const PROMPTS_TOGETHER = 128;

/** Tokens a second of all requests together. */
export interface AdapterRun {
  without: number;
  with: number;
}

const LAYERS = (config: ModelInspection["config"]): Record<string, [n: number, k: number]> => {
  const { hidden, heads, kvHeads, headDim, intermediate } = config;
  return {
    "self_attn.q_proj": [heads * headDim, hidden],
    "self_attn.k_proj": [kvHeads * headDim, hidden],
    "self_attn.v_proj": [kvHeads * headDim, hidden],
    "self_attn.o_proj": [hidden, heads * headDim],
    "mlp.gate_proj": [intermediate, hidden],
    "mlp.up_proj": [intermediate, hidden],
    "mlp.down_proj": [hidden, intermediate],
  };
};

/** Writes an adapter of all linear layers as PEFT does, with values that hardly change the model. */
function writeAdapter(folder: string, config: ModelInspection["config"], seed: number): void {
  mkdirSync(folder);
  const layers = LAYERS(config);
  const settings = {
    ...{ peft_type: "LORA", r: ADAPTER_RANK, lora_alpha: ADAPTER_RANK, bias: "none" },
    target_modules: Object.keys(layers).map((name) => name.split(".")[1]),
  };
  writeFileSync(join(folder, "adapter_config.json"), JSON.stringify(settings));
  const header: Record<string, unknown> = {};
  const shapes: number[] = [];
  let size = 0;
  for (let layer = 0; layer < config.layers; layer++) {
    for (const [name, [n, k]] of Object.entries(layers)) {
      for (const [part, shape] of [
        ["lora_A", [ADAPTER_RANK, k]],
        ["lora_B", [n, ADAPTER_RANK]],
      ] as const) {
        const count = shape[0] * shape[1];
        const key = `base_model.model.model.layers.${layer}.${name}.${part}.weight`;
        header[key] = { dtype: "F32", shape, data_offsets: [size, size + 4 * count] };
        shapes.push(count);
        size += 4 * count;
      }
    }
  }
  const values = new Float32Array(size / 4);
  let state = 0x9e3779b9 ^ seed;
  for (let i = 0; i < values.length; i++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    values[i] = (state / 2 ** 31) * 0.01;
  }
  const text = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  const body = Buffer.from(values.buffer);
  writeFileSync(join(folder, "adapter_model.safetensors"), Buffer.concat([length, text, body]));
}

/**
 * Loads `count` random adapters into the engine.
 * @returns their names
 */
export async function loadRandomAdapters(
  client: EngineClient,
  config: ModelInspection["config"],
  count: number,
): Promise<string[]> {
  const folder = mkdtempSync(join(tmpdir(), "anabranch-adapters-"));
  try {
    const names = Array.from({ length: count }, (_, i) => `random-${i + 1}`);
    for (const [i, name] of names.entries()) {
      writeAdapter(join(folder, name), config, i + 1);
      await client.engine.loadAdapter({ name, path: join(folder, name) });
    }
    return names;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** `lanes` requests of `tokens` tokens, with the adapters in turn and without; `first` goes first. */
export async function measureAdapters(
  client: EngineClient,
  adapters: readonly string[],
  lanes: number,
  tokens: number,
  first: keyof AdapterRun,
): Promise<AdapterRun> {
  const out = { without: 0, with: 0 };
  for (const side of first === "with"
    ? (["with", "without"] as const)
    : (["without", "with"] as const)) {
    out[side] = await decode(client, side === "with" ? adapters : [], lanes, tokens);
  }
  return out;
}

async function decode(
  client: EngineClient,
  adapters: readonly string[],
  lanes: number,
  tokens: number,
): Promise<number> {
  const prompt = Math.max(1, Math.floor(PROMPTS_TOGETHER / lanes));
  const before = client.engine.load();
  const requests = Array.from({ length: lanes }, (_, lane) => {
    const all = Array.from({ length: prompt + tokens }, (_, i) => (lane * 31 + i * 17 + 5) % 1000);
    const adapter = adapters[lane % Math.max(1, adapters.length)];
    return client.submit({
      ...{ prompt: all.slice(0, prompt), script: [{ serial: all }] },
      ...(adapter !== undefined && { adapter }),
    }).finished;
  });
  await Promise.all(requests);
  const after = client.engine.load();
  const rows = after.decodeRows - before.decodeRows;
  return rows / (after.decodeSeconds - before.decodeSeconds);
}
