// Unusable model folders: the engine refuses them and names the file and the tensor or field. Whatever
// they contain, nothing worse happens.
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { cudaDevices, type EngineOptions, openEngine } from "../src/index.ts";
import { aspd, branching, folderLike, refusal, small, tiny } from "./answers.ts";

type Json = Record<string, unknown>;

const open = (model: string) =>
  openEngine({ model, device: "cpu", threads: 1, kvMib: 1, dtype: "fp32" }, () => {}).close();

function message(model: string): string {
  try {
    open(model);
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
  return "it loaded";
}

const config = JSON.parse(readFileSync(join(tiny, "config.json"), "utf8")) as Json;
const weights = readFileSync(join(tiny, "model.safetensors"));
const headerLength = Number(weights.readBigUInt64LE(0));
interface Entry {
  dtype: string;
  shape: number[];
  data_offsets: [number, number];
}
const header = JSON.parse(weights.subarray(8, 8 + headerLength).toString()) as Record<
  string,
  Entry
>;
const q = "model.layers.0.self_attn.q_proj.weight";
const norm = "model.norm.weight";

/** The tiny model's weights with another header. */
function safetensors(text: string): Buffer {
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(Buffer.byteLength(text)));
  return Buffer.concat([length, Buffer.from(text), weights.subarray(8 + headerLength)]);
}
const withEntry = (name: string, change: Partial<Entry> | Json) =>
  safetensors(JSON.stringify({ ...header, [name]: { ...header[name], ...change } }));
const without = (name: string) => {
  const { [name]: _, ...rest } = header;
  return safetensors(JSON.stringify(rest));
};

describe("the device option", () => {
  const open = (device: string, options: Partial<EngineOptions> = {}) =>
    refusal(() =>
      openEngine({ model: tiny, device, threads: 1, kvMib: 1, ...options }, () => {}).close(),
    );

  it("selects the device or is refused", () => {
    for (const device of ["", "auto", "cpu"]) expect(open(device)).toBe("nothing");
    for (const device of ["gpu", "cuda", "cuda:", "cuda:x", "cuda:1x", "cuda:-1"]) {
      expect(open(device), device).toBe("invalid_argument");
    }
    expect(open("cuda:99")).toBe("failed_precondition");
    if (cudaDevices() > 0) expect(open("cuda:0")).toBe("nothing");
  });

  it("is refused before serving if the device can't compute with the weights or the KV type", () => {
    expect(open("cpu", { dtype: "fp8" })).toBe("failed_precondition");
    expect(open("cpu", { kvDtype: "fp8" })).toBe("failed_precondition");
    expect(open("cpu", { kvDtype: "auto" })).toBe("nothing");
    if (cudaDevices() > 0) {
      expect(open("cuda:0", { dtype: "fp8", kvDtype: "fp8" })).toBe("nothing");
      expect(open("cuda:0", { dtype: "fp32" })).toBe("failed_precondition");
    }
  });
});

describe("weights", () => {
  const body = weights.length - 8 - headerLength;
  const at = header[q]?.data_offsets ?? [0, 0];
  // biome-ignore format: a table
  const cases: [string, Buffer, RegExp][] = [
    ["cut off in the header", weights.subarray(0, 100), /header length/],
    ["cut off in the length", weights.subarray(0, 5), /not a safetensors file/],
    ["cut off in the data", weights.subarray(0, weights.length - 1), /is beyond the file, which is cut off/],
    ["empty", Buffer.alloc(0), /not a safetensors file/],
    ["with a header beyond the file", Buffer.concat([Buffer.from([255, 255, 255, 255, 255, 255, 255, 127]), weights.subarray(8)]), /header length/],
    ["as a pointer of Git LFS", Buffer.from("version https://git-lfs.github.com/spec/v1\n"), /git lfs pull/],
    ["with a header that is no JSON", safetensors("{"), /not valid JSON/],
    ["with a header that is a list", safetensors("[]"), /must be an object/],
    ["with a tensor that is no object", safetensors('{"a":5}'), /"a" must be an object/],
    ["without a tensor", without(norm), /"model\.norm\.weight" is missing/],
    ["with another dtype", withEntry(norm, { dtype: "I32" }), /"model\.norm\.weight"/],
    ["with an unknown dtype", withEntry(norm, { dtype: "Q4" }), /"model\.norm\.weight"/],
    ["with a dtype that is a number", withEntry(norm, { dtype: 5 }), /model\.norm\.weight\.dtype/],
    ["with another shape of as many bytes", withEntry(q, { shape: [32, 128] }), /q_proj\.weight" has shape \[32, 128\]/],
    ["with a shape of more bytes", withEntry(q, { shape: [64, 65] }), /q_proj\.weight" has shape/],
    ["with a shape that overflows", withEntry(q, { shape: [2 ** 40, 2 ** 40, 2 ** 40] }), /q_proj\.weight" has a shape that overflows/],
    ["with a shape that wraps round to the right size", withEntry(q, { shape: [2 ** 33, 2 ** 31, 1] }), /overflows/],
    ["with a negative extent", withEntry(q, { shape: [-64, -64] }), /q_proj\.weight\.shape/],
    ["with a fraction for an extent", withEntry(q, { shape: [64.5, 64] }), /q_proj\.weight\.shape/],
    ["with one offset", withEntry(q, { data_offsets: [0] }), /q_proj\.weight" needs two data_offsets/],
    ["with offsets backwards", withEntry(q, { data_offsets: [at[1], at[0]] }), /q_proj\.weight" ends before it begins/],
    ["with offsets beyond the data", withEntry(q, { data_offsets: [body, body + at[1] - at[0]] }), /q_proj\.weight" is beyond the file/],
    ["with negative offsets", withEntry(q, { data_offsets: [-8, at[1] - at[0] - 8] }), /q_proj\.weight\.data_offsets/],
    ["with tensors that overlap", withEntry(q, { data_offsets: [at[0] + 2, at[1] + 2] }), /overlap/],
    ["with a tensor twice", safetensors(JSON.stringify(header).replace(/}$/, `,"${q}":${JSON.stringify(header[q])}}`)), /q_proj\.weight" appears twice/],
  ];
  it.each(cases)("%s", (_, file, named) => {
    const folder = folderLike(tiny, { "model.safetensors": file });
    expect(message(folder)).toMatch(named);
    expect(message(folder)).toContain(folder);
    expect(refusal(() => open(folder))).toBe("failed_precondition");
  });

  it("that are missing, or miss a shard, or are in another shard than the index says", () => {
    const none = folderLike(tiny);
    rmSync(join(none, "model.safetensors"));
    expect(message(none)).toContain(`${none}: has neither model.safetensors`);

    const sharded = folderLike(tiny.replace("llama-default", "qwen3-yarn-sharded"));
    open(sharded);
    const index = join(sharded, "model.safetensors.index.json");
    const map = JSON.parse(readFileSync(index, "utf8")) as { weight_map: Record<string, string> };
    const [first = "", second = ""] = [...new Set(Object.values(map.weight_map))];
    const [tensor = ""] = Object.keys(map.weight_map).filter(
      (name) => map.weight_map[name] === first,
    );
    const write = (weight_map: unknown) => writeFileSync(index, JSON.stringify({ weight_map }));

    write({ ...map.weight_map, [tensor]: second });
    expect(message(sharded)).toContain(`"${tensor}" is not in ${second}`);
    write({ ...map.weight_map, [tensor]: "../elsewhere.safetensors" });
    expect(message(sharded)).toContain(`"weight_map.${tensor}" must be a file name`);
    write({ ...map.weight_map, [tensor]: 7 });
    expect(message(sharded)).toContain(`"weight_map.${tensor}" must be a string`);
    write([]);
    expect(message(sharded)).toContain('"weight_map" must be an object');
    write(map.weight_map);
    rmSync(join(sharded, second));
    expect(message(sharded)).toContain(`${second}: can't be opened`);
  });
});

describe("config.json", () => {
  // biome-ignore format: a table
  const cases: [string, Json, RegExp][] = [
    ["an unknown family", { model_type: "gpt2" }, /"model_type" is "gpt2"; known are llama/],
    ["no family", { model_type: undefined }, /"model_type" is missing/],
    ["another activation", { hidden_act: "gelu" }, /"hidden_act" is "gelu"; known are silu, gelu_pytorch_tanh/],
    ["an unknown RoPE kind", { rope_scaling: { rope_type: "ntk" } }, /rope_scaling" has RoPE kind "ntk"; known are default, linear, llama3, yarn, longrope/],
    ["long RoPE without the original context", { rope_scaling: { rope_type: "longrope" } }, /original_max_position_embeddings" is missing/],
    ["long RoPE without factors", { original_max_position_embeddings: 64, rope_scaling: { rope_type: "longrope" } }, /long_factor" is missing/],
    ["long RoPE with too few factors", { original_max_position_embeddings: 64, rope_scaling: { rope_type: "longrope", long_factor: [1, 2] } }, /long_factor" must have 8 factors/],
    ["long RoPE with a factor of zero", { original_max_position_embeddings: 64, rope_scaling: { rope_type: "longrope", long_factor: [1, 0] } }, /long_factor\[1\]" must be above 0/],
    ["an unknown RoPE kind, newer spelling", { rope_parameters: { rope_type: "dynamic", rope_theta: 1e4 } }, /rope_parameters" has RoPE kind "dynamic"/],
    ["llama3 scaling without a field", { rope_scaling: { rope_type: "llama3", factor: 8 } }, /rope_scaling\.low_freq_factor" is missing/],
    ["linear scaling by zero", { rope_scaling: { type: "linear", factor: 0 } }, /rope_scaling\.factor" must be above 0/],
    ["linear scaling by text", { rope_scaling: { type: "linear", factor: "2" } }, /rope_scaling\.factor" must be a number/],
    ["an impossible theta", { rope_theta: 0 }, /rope_theta/],
    ["partial rotary", { partial_rotary_factor: 0.5 }, /partial_rotary_factor/],
    ["sliding windows", { use_sliding_window: true }, /"use_sliding_window" is true/],
    ["a sliding window of nothing", { model_type: "mistral", sliding_window: 0 }, /"sliding_window" must be between 1/],
    ["sliding layers without a window", { layer_types: ["full_attention", "sliding_attention"] }, /"layer_types" has sliding_attention, but/],
    ["types of other layers than there are", { layer_types: ["full_attention"] }, /"layer_types" must have one type per layer/],
    ["soft-capped logits", { model_type: "gemma3_text", final_logit_softcapping: 30 }, /"final_logit_softcapping" is not null; soft-capping is not supported/],
    ["bidirectional attention", { model_type: "gemma3_text", use_bidirectional_attention: true }, /"use_bidirectional_attention" is true/],
    ["a Gemma 3 without its window", { model_type: "gemma3_text" }, /"sliding_window" is missing/],
    ["a Gemma 3 with images", { model_type: "gemma3" }, /"model_type" is "gemma3"; known are .*gemma3_text/],
    ["rotated values that are no pairs", { model_type: "phi3", partial_rotary_factor: 0.45 }, /impossible number of rotated values per head: 7/],
    ["fewer entries of no_rope_layers than layers", { model_type: "smollm3", no_rope_layers: [1] }, /"no_rope_layers" must have one entry per layer/],
    ["a multiplier of zero", { model_type: "granite", residual_multiplier: 0 }, /"residual_multiplier" must be above 0/],
    ["other layers", { layer_types: ["full_attention", "linear_attention"] }, /layer_types\[1\]" is "linear_attention"/],
    ["quantized weights", { quantization_config: {} }, /quantization_config/],
    ["no hidden size", { hidden_size: undefined }, /"hidden_size" is missing/],
    ["a hidden size of zero", { hidden_size: 0 }, /"hidden_size" must be between/],
    ["a hidden size that is no multiple", { hidden_size: 62 }, /"hidden_size" must be a multiple/],
    ["an odd head_dim", { head_dim: 15 }, /odd head_dim/],
    ["a fraction of layers", { num_hidden_layers: 1.5 }, /"num_hidden_layers" must be a whole number/],
    ["too many layers", { num_hidden_layers: 100_000 }, /"num_hidden_layers" must be between/],
    ["more layers than the weights", { num_hidden_layers: 3 }, /model\.layers\.2\./],
    ["heads that don't divide", { num_key_value_heads: 3 }, /"num_key_value_heads" must divide/],
    ["another vocabulary than the weights", { vocab_size: 200 }, /embed_tokens\.weight" has shape/],
    ["a huge vocabulary", { vocab_size: 2 ** 40 }, /"vocab_size" must be between/],
    ["an end outside the vocabulary", { eos_token_id: [2, 192] }, /"eos_token_id\[1\]" must be between/],
    ["an end that is text", { eos_token_id: "</s>" }, /"eos_token_id" must be a whole number/],
    ["an impossible epsilon", { rms_norm_eps: -1 }, /"rms_norm_eps" must be between/],
    ["tied embeddings as text", { tie_word_embeddings: "no" }, /"tie_word_embeddings" must be true or false/],
    ["a context of nothing", { max_position_embeddings: 0 }, /"max_position_embeddings" must be between/],
  ];
  it.each(cases)("%s", (_, change, named) => {
    const folder = folderLike(tiny, { "config.json": JSON.stringify({ ...config, ...change }) });
    expect(message(folder)).toMatch(named);
    expect(message(folder)).toContain(folder);
    expect(refusal(() => open(folder))).toBe("failed_precondition");
  });

  it("that is missing or is not JSON", () => {
    const folder = folderLike(tiny, { "config.json": "{" });
    expect(message(folder)).toContain(`${join(folder, "config.json")}: not valid JSON`);
    rmSync(join(folder, "config.json"));
    expect(message(folder)).toContain(`${join(folder, "config.json")}: can't be opened`);
  });
});

describe("aspd.json", () => {
  const ids = (...list: unknown[]) => ({ ids: list });
  // biome-ignore format: a table
  const cases: [string, Json, RegExp][] = [
    ["another version", { version: 2 }, /"version" is not 1/],
    ["no name", { name: undefined }, /"name" is missing/],
    ["no fork", { fork: undefined }, /"fork" is missing/],
    ["a marker of many tokens", { title_open: ids(...Array(65).keys()) }, /"title_open\.ids" must hold/],
    ["a marker of none", { title_close: ids() }, /"title_close\.ids" must hold/],
    ["a marker outside the vocabulary", { branch_close: ids(192) }, /"branch_close\.ids\[0\]" must be between/],
    ["a marker of text", { fork: ids("<|para|>") }, /"fork\.ids\[0\]" must be a whole number/],
    ["a marker that is a list", { join: [15] }, /"join\[0\]" must be an object/],
    ["two markers of one id", { join: ids(10) }, /uses token id 10 for two markers/],
    ["a marker inside another", { fork: ids(5, 10, 6) }, /one marker inside another/],
    ["a marker that begins with a word", { title_open: ["index", ids(10)] }, /"title_open" must begin/],
    ["a word that is not allowed there", { join: [ids(15), "title"] }, /"join\[1\]" must be ids$/],
    ["an opening without a title", { opening: [ids(13)] }, /"opening" must restate/],
    ["an opening with two titles", { opening: [ids(13), "title", "title"] }, /"opening\[2\]" must be/],
    ["an opening that begins with the title", { opening: ["title"] }, /"opening" must begin/],
    ["an opening of another word", { opening: [ids(13), "lane"] }, /"opening\[1\]" must be/],
    ["numbers without their ids", { opening: [ids(13), "index"], index: [ids(30)] }, /"index" must hold/],
    ["a minimum of branches above the maximum", { caps: { branches: 3, min_branches: 4 } }, /"caps\.min_branches" must be/],
    ["an unknown rule", { resume: "mean" }, /"resume" must be/],
    ["an unknown visible part", { visible: ["plan"] }, /"visible\[0\]" must be/],
    ["a cap of one branch", { caps: { branches: 1 } }, /"caps\.branches" must be between/],
    ["a cap of many branches", { caps: { branches: 65 } }, /"caps\.branches" must be between/],
    ["a cap of text", { caps: { stages: "8" } }, /"caps\.stages" must be a whole number/],
    ["branches too short for their opening", { caps: { title_tokens: 100, branch_tokens: 50 } }, /caps\.branch_tokens leaves no room/],
  ];
  it.each(cases)("%s", (_, change, named) => {
    const folder = branching(change);
    expect(message(folder)).toMatch(named);
    expect(message(folder)).toContain(join(folder, "aspd.json"));
    expect(refusal(() => open(folder))).toBe("failed_precondition");
  });
});

describe("what a config may leave out or spell in several ways", () => {
  const full = Array(2).fill("full_attention");
  it.each<[string, Json]>([
    [
      "a Mistral without the window's field, which has transformers' default",
      { sliding_window: undefined },
    ],
    [
      "a Mistral without a window that lists its layers",
      { sliding_window: null, layer_types: full },
    ],
    ["a window as long as the context", { sliding_window: 512 }],
  ])("%s", (_, change) => {
    const folder = folderLike(tiny, {
      "config.json": JSON.stringify({ ...config, model_type: "mistral", ...change }),
    });
    expect(() => open(folder)).not.toThrow();
  });

  it("a context that YaRN extends, named or not", async () => {
    const named = tiny.replace("llama-default", "qwen2-yarn");
    const given = JSON.parse(readFileSync(join(named, "config.json"), "utf8")) as Json;
    const change = { ...given, max_position_embeddings: 32 };
    const edited = folderLike(named, { "config.json": JSON.stringify(change) });
    const tokens = Array.from({ length: 120 }, (_, i) => (i * 7) % 190);
    const scored = async (model: string) => {
      const engine = openEngine({ model, device: "cpu", threads: 1, kvMib: 1 }, () => {});
      const { context } = engine.info();
      const { runs } = await engine.score([{ serial: tokens }], "sum");
      engine.close();
      return { context, runs };
    };
    const wanted = await scored(named);
    expect(wanted.context).toBe(128);
    expect(await scored(edited)).toEqual(wanted);
  });
});

describe("the digest", () => {
  const digest = (model: string) => {
    const engine = openEngine({ model, threads: 1, kvMib: 4 }, () => {});
    engine.close();
    return engine.info().digest;
  };
  it("changes with any byte of weights, config and dialect, and with nothing else", () => {
    const other = Buffer.from(weights);
    other[weights.length - 3] = (other[weights.length - 3] ?? 0) ^ 1;
    const digests = [
      digest(tiny),
      digest(folderLike(tiny, { "model.safetensors": other })),
      digest(folderLike(tiny, { "config.json": `${JSON.stringify(config)} ` })),
      digest(folderLike(tiny, { "generation_config.json": '{"eos_token_id":3}' })),
      digest(branching()),
      digest(branching({ resume: "max" })),
      digest(small),
    ];
    expect(new Set(digests).size).toBe(digests.length);
    expect(digest(folderLike(tiny, { "README.md": "hello" }))).toBe(digests[0]);
  });
});

describe("damaged bytes", () => {
  /** xorshift32, so that every run damages the same bytes. */
  function* damage(seed: number) {
    let state = seed;
    while (true) {
      state ^= state << 13;
      state ^= state >>> 17;
      state ^= state << 5;
      yield state >>> 0;
    }
  }
  const files: [string, Buffer, number][] = [
    ["config.json", readFileSync(join(tiny, "config.json")), 0],
    ["aspd.json", Buffer.from(JSON.stringify(aspd)), 0],
    ["model.safetensors", weights, weights.length - headerLength - 8],
  ];
  it.each(files)(
    "in %s: the model is refused with a name, or serves",
    async (name, bytes, tail) => {
      const folder = branching();
      const random = damage(name.length * 7919);
      const next = (below: number) => (random.next().value ?? 0) % below;
      let refused = 0;
      for (let i = 0; i < 250; i++) {
        const broken = Buffer.from(bytes);
        for (let n = 1 + next(3); n > 0; n--) {
          const at = next(broken.length - tail);
          broken[at] =
            [(broken[at] ?? 0) ^ (1 << next(8)), next(256), 48 + next(10), 0x22][next(4)] ?? 0;
        }
        writeFileSync(join(folder, name), broken);
        try {
          const engine = openEngine({ model: folder, threads: 1, kvMib: 1 }, () => {});
          await engine.score([{ serial: [1, 2] }, { parallel: [[3, 4], [5]] }], "max");
          engine.close();
        } catch (error) {
          refused++;
          expect(error).toBeInstanceOf(Error);
          expect(error).toHaveProperty(
            "code",
            expect.stringMatching(
              /^(failed_precondition|resource_exhausted|invalid_argument|out_of_range)$/,
            ),
          );
          expect(String(error)).toMatch(/json|safetensors|model|KV|heads|vocabulary/);
        }
      }
      expect(refused).toBeGreaterThan(50);
    },
  );
});
