// A model whose next token depends on the last one alone: what it writes can be said in advance.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll } from "vitest";

export interface ChainToken {
  /** Names the token in `next`. */
  name: string;
  /** What it says; several tokens may say the same. */
  text: string;
  /** The name of the token that follows it; absent: the answer ends. */
  next?: string;
}

const folders: string[] = [];
afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true });
});

/** Token 0 of every chain ends an answer. */
export const endToken = 0;

/** How much likelier the next token is than any other, in nats; large enough to be certain. */
const certainty = 60;

export class Chain {
  readonly folder: string;
  /** By id. */
  readonly texts: string[];
  readonly #ids: ReadonlyMap<string, number>;

  constructor(tokens: readonly ChainToken[]) {
    this.texts = ["", ...tokens.map(({ text }) => text)];
    this.#ids = new Map(tokens.map(({ name }, i) => [name, i + 1]));
    this.folder = mkdtempSync(join(tmpdir(), "anabranch-chain-"));
    folders.push(this.folder);
    const next = [endToken, ...tokens.map((each) => (each.next ? this.id(each.next) : endToken))];
    writeModel(this.folder, next);
  }

  id(name: string): number {
    const id = this.#ids.get(name);
    if (id === undefined) throw new Error(`the chain has no token ${name}`);
    return id;
  }

  text(ids: readonly number[]): string {
    return ids.map((id) => this.texts[id] ?? "").join("");
  }
}

/** The head reads the embedding of the last token. */
function writeModel(folder: string, next: readonly number[]): void {
  const hidden = next.length;
  const embedding = new Float32Array(hidden * hidden);
  const head = new Float32Array(hidden * hidden);
  for (const [id, follows] of next.entries()) {
    embedding[id * hidden + id] = 1;
    // The norm scales the embedding to sqrt(hidden).
    head[follows * hidden + id] = certainty / Math.sqrt(hidden);
  }
  writeLookup(folder, { embedding, head, hidden, eos: endToken });
}

export interface Lookup {
  /** One row of `hidden` values for each token, both. */
  embedding: Float32Array;
  head: Float32Array;
  hidden: number;
  /** The token that ends an answer. */
  eos: number;
}

/** A Llama whose layer adds nothing: logits are the head's products with the last token's embedding, normed. */
export function writeLookup(folder: string, { embedding, head, hidden, eos }: Lookup): void {
  const vocabulary = embedding.length / hidden;
  const zeros = (...shape: number[]) => ({
    shape,
    data: new Float32Array(shape.reduce((a, b) => a * b, 1)),
  });
  const filled = (value: number, ...shape: number[]) => {
    const out = zeros(...shape);
    out.data.fill(value);
    return out;
  };
  const layer = "model.layers.0";
  const tensors: Record<string, { shape: number[]; data: Float32Array }> = {
    "model.embed_tokens.weight": { shape: [vocabulary, hidden], data: embedding },
    "lm_head.weight": { shape: [vocabulary, hidden], data: head },
    "model.norm.weight": filled(1, hidden),
    [`${layer}.input_layernorm.weight`]: filled(1, hidden),
    [`${layer}.post_attention_layernorm.weight`]: filled(1, hidden),
    [`${layer}.self_attn.q_proj.weight`]: zeros(4, hidden),
    [`${layer}.self_attn.k_proj.weight`]: zeros(4, hidden),
    [`${layer}.self_attn.v_proj.weight`]: zeros(4, hidden),
    [`${layer}.self_attn.o_proj.weight`]: zeros(hidden, 4),
    [`${layer}.mlp.gate_proj.weight`]: zeros(4, hidden),
    [`${layer}.mlp.up_proj.weight`]: zeros(4, hidden),
    [`${layer}.mlp.down_proj.weight`]: zeros(hidden, 4),
  };
  let at = 0;
  const header: Record<string, object> = {};
  for (const [name, { shape, data }] of Object.entries(tensors)) {
    header[name] = { dtype: "F32", shape, data_offsets: [at, at + data.byteLength] };
    at += data.byteLength;
  }
  const json = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  const bodies = Object.values(tensors).map(({ data }) => Buffer.from(data.buffer));
  writeFileSync(join(folder, "model.safetensors"), Buffer.concat([length, json, ...bodies]));
  const config = {
    ...{ model_type: "llama", architectures: ["LlamaForCausalLM"], vocab_size: vocabulary },
    ...{ hidden_size: hidden, intermediate_size: 4, num_hidden_layers: 1, head_dim: 4 },
    ...{ num_attention_heads: 1, num_key_value_heads: 1, rms_norm_eps: 1e-6, rope_theta: 10_000 },
    ...{ max_position_embeddings: 4096, tie_word_embeddings: false, eos_token_id: eos },
    ...{ hidden_act: "silu" },
  };
  writeFileSync(join(folder, "config.json"), JSON.stringify(config));
}
