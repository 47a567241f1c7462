// The tokenizer and the chat template of a GGUF file, from its metadata, in the form of a Hugging Face
// folder's files.
import { closeSync, openSync, readSync } from "node:fs";
import { basename, dirname, resolve } from "node:path";
import { gguf } from "@huggingface/gguf";
import { readDialect } from "./dialect.ts";
import { firstPart, stemOf } from "./gguf-parts.ts";
import type { Json, ModelFiles } from "./model-files.ts";
import { preTokenizerOf } from "./pre-tokenizers.ts";

/** Kinds of tokens, as llama.cpp numbers them. */
const CONTROL = 3;
const USER_DEFINED = 4;
const BYTE = 6;

/** Text in place of a space in SentencePiece vocabularies. */
const METASPACE = "▁";

/** The header of a file. @throws Error naming the file if it is none of this format, or ends in its header */
export async function ggufHeader(path: string) {
  try {
    return await gguf(path, { allowLocalFile: true });
  } catch (error) {
    throw new Error(`${path}: ${(error as Error).message}`);
  }
}

/** @throws Error naming the file and the part of it that is missing or not supported */
export async function readGguf(path: string): Promise<ModelFiles> {
  const fail = (what: string): never => {
    throw new Error(`${path}: ${what}`);
  };
  const { metadata } = await ggufHeader(firstPart(path));
  const values = metadata as unknown as Json;
  const vocabulary = readVocabulary(values, fail);
  if (vocabulary.kind === "llama") vocabulary.tokens = readTokens(firstPart(path), fail);
  const origin = "tokenizer.chat_template";
  const text = values[origin];
  const { tokens } = vocabulary;
  const special = (key: string) => {
    const id = values[`tokenizer.ggml.${key}_token_id`];
    return typeof id === "number" ? tokens[id] : undefined;
  };
  const tokenizerConfig: Json = { tokenizer_class: "PreTrainedTokenizerFast" };
  for (const [key, name] of [
    ["bos", "bos_token"],
    ["eos", "eos_token"],
    ["unknown", "unk_token"],
    ["padding", "pad_token"],
  ] as const) {
    const token = special(key);
    if (token !== undefined) tokenizerConfig[name] = token;
  }
  const addBos = values["tokenizer.ggml.add_bos_token"];
  const bos = special("bos");
  const usuallyBos = vocabulary.kind === "llama" || preTokenizerOf(vocabulary.pre).startsWithBos;
  const startsWithBos = typeof addBos === "boolean" ? addBos : usuallyBos;
  return {
    tokenizer: {
      ...tokenizerOf(vocabulary),
      post_processor: startsWithBos && bos !== undefined ? bosTemplate(bos, tokens) : null,
    },
    tokenizerConfig,
    chatTemplate: typeof text === "string" ? { text, origin } : undefined,
    // A dialect for a GGUF file lies beside it.
    dialect: readDialect(dirname(resolve(path))),
    generationConfig: generationConfigOf(values),
    name: stemOf(basename(path)),
    tokenizerPath: path,
  };
}

interface Vocabulary {
  /** gpt2: byte-level BPE with merges. llama: SentencePiece BPE with scores. */
  kind: "gpt2" | "llama";
  /** The name of the pre-tokenizer. */
  pre: string;
  tokens: string[];
  types: number[];
  merges: string[];
  scores: number[];
  addSpacePrefix: boolean;
}

function readVocabulary(values: Json, fail: (what: string) => never): Vocabulary {
  const array = (key: string): unknown[] | undefined => {
    const value = values[`tokenizer.ggml.${key}`];
    return Array.isArray(value) ? value : undefined;
  };
  const kind = values["tokenizer.ggml.model"];
  if (kind === undefined) return fail("has no tokenizer (tokenizer.ggml.model), or is cut off");
  if (kind !== "gpt2" && kind !== "llama") {
    return fail(`tokenizer.ggml.model is "${kind}"; known are gpt2 and llama`);
  }
  const tokens = array("tokens") as string[] | undefined;
  if (!tokens) return fail("tokenizer.ggml.tokens is missing");
  const merges = (array("merges") as string[] | undefined) ?? [];
  const scores = (array("scores") as number[] | undefined) ?? [];
  if (kind === "gpt2" && merges.length === 0) fail("tokenizer.ggml.merges is missing");
  if (kind === "llama" && scores.length !== tokens.length) {
    fail("tokenizer.ggml.scores does not fit tokenizer.ggml.tokens");
  }
  const pre = values["tokenizer.ggml.pre"];
  return {
    kind,
    pre: typeof pre === "string" ? pre : "default",
    tokens,
    types: (array("token_type") as number[] | undefined) ?? [],
    merges,
    scores,
    addSpacePrefix: values["tokenizer.ggml.add_space_prefix"] !== false,
  };
}

/**
 * The strings of tokenizer.ggml.tokens. The reader of the metadata drops a byte order mark at the start
 * of a string, which makes two tokens of SentencePiece vocabularies equal.
 */
function readTokens(path: string, fail: (what: string) => never): string[] {
  const key = "tokenizer.ggml.tokens";
  const entry = Buffer.alloc(8 + key.length + 8); // a key, then the types: array of strings
  entry.writeBigUInt64LE(BigInt(key.length));
  entry.write(key, 8);
  entry.writeUInt32LE(9, 8 + key.length);
  entry.writeUInt32LE(8, 12 + key.length);
  const file = openSync(path, "r");
  try {
    for (let size = 1 << 24; ; size *= 2) {
      const head = Buffer.alloc(size);
      const bytes = head.subarray(0, readSync(file, head, 0, size, 0));
      const found = bytes.indexOf(entry);
      const tokens = found < 0 ? undefined : stringsAt(bytes, found + entry.length);
      if (tokens) return tokens;
      if (bytes.length < size || size >= 1 << 30) return fail(`${key} is not a list of texts`);
    }
  } finally {
    closeSync(file);
  }
}

/** The strings of a GGUF array, from its length on; undefined if the bytes end before it does. */
function stringsAt(bytes: Buffer, start: number): string[] | undefined {
  if (start + 8 > bytes.length) return undefined;
  const count = Number(bytes.readBigUInt64LE(start));
  const out: string[] = [];
  for (let at = start + 8; out.length < count; ) {
    if (at + 8 > bytes.length) return undefined;
    const end = at + 8 + Number(bytes.readBigUInt64LE(at));
    if (end > bytes.length) return undefined;
    out.push(bytes.toString("utf8", at + 8, end));
    at = end;
  }
  return out;
}

/** tokenizer.json without its post-processor. */
function tokenizerOf(vocabulary: Vocabulary): Json {
  const { tokens, types } = vocabulary;
  const added = tokens.flatMap((content, id) => {
    const special = types[id] === CONTROL;
    if (!special && types[id] !== USER_DEFINED) return [];
    const exact = { single_word: false, lstrip: false, rstrip: false, normalized: false };
    return [{ id, content, special, ...exact }];
  });
  const vocab = Object.fromEntries(tokens.map((token, id) => [token, id]));
  return {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: added,
    ...(vocabulary.kind === "gpt2"
      ? byteLevel(vocabulary, vocab)
      : sentencePiece(vocabulary, vocab)),
  };
}

function byteLevel({ pre, merges }: Vocabulary, vocab: Record<string, number>): Json {
  const { normalizer, preTokenizer, ignoreMerges } = preTokenizerOf(pre);
  return {
    normalizer,
    pre_tokenizer: preTokenizer,
    decoder: { type: "ByteLevel", add_prefix_space: true, trim_offsets: true, use_regex: true },
    model: {
      ...{ type: "BPE", dropout: null, unk_token: null, continuing_subword_prefix: null },
      ...{ end_of_word_suffix: null, fuse_unk: false, byte_fallback: false },
      ...{ ignore_merges: ignoreMerges, vocab, merges },
    },
  };
}

/** SentencePiece BPE with byte fallback: merges are the pairs of tokens that make a token, best first. */
function sentencePiece(
  { tokens, types, scores, addSpacePrefix }: Vocabulary,
  vocab: Record<string, number>,
): Json {
  const merges: { pair: string; rank: number }[] = [];
  for (const [id, token] of tokens.entries()) {
    if (types[id] === CONTROL || types[id] === BYTE) continue;
    const characters = [...token];
    for (let cut = 1; cut < characters.length; cut++) {
      const head = characters.slice(0, cut).join("");
      const tail = characters.slice(cut).join("");
      if (head in vocab && tail in vocab) {
        merges.push({ pair: `${head} ${tail}`, rank: scores[id] ?? 0 });
      }
    }
  }
  merges.sort((a, b) => b.rank - a.rank);
  const spaces = { type: "Replace", pattern: { String: " " }, content: METASPACE };
  const prepend = addSpacePrefix ? [{ type: "Prepend", prepend: METASPACE }] : [];
  const strip = addSpacePrefix ? [{ type: "Strip", content: " ", start: 1, stop: 0 }] : [];
  return {
    normalizer: { type: "Sequence", normalizers: [...prepend, spaces] },
    pre_tokenizer: null,
    decoder: {
      type: "Sequence",
      decoders: [
        { type: "Replace", pattern: { String: METASPACE }, content: " " },
        ...[{ type: "ByteFallback" }, { type: "Fuse" }],
        ...strip,
      ],
    },
    model: {
      ...{ type: "BPE", dropout: null, unk_token: "<unk>", continuing_subword_prefix: null },
      ...{ end_of_word_suffix: null, fuse_unk: true, byte_fallback: true, ignore_merges: false },
      ...{ vocab, merges: merges.map(({ pair }) => pair) },
    },
  };
}

/** Puts the start token before every sequence. */
const bosTemplate = (bos: string, tokens: readonly string[]): Json => ({
  type: "TemplateProcessing",
  single: [{ SpecialToken: { id: bos, type_id: 0 } }, { Sequence: { id: "A", type_id: 0 } }],
  pair: [{ Sequence: { id: "A", type_id: 0 } }, { Sequence: { id: "B", type_id: 1 } }],
  special_tokens: { [bos]: { id: bos, ids: [tokens.indexOf(bos)], tokens: [bos] } },
});

/** llama.cpp's names of sampling parameters in metadata, and generation_config.json's. */
const SAMPLING_KEYS = [
  ["temp", "temperature"],
  ["top_p", "top_p"],
  ["top_k", "top_k"],
  ["min_p", "min_p"],
  ["penalty_repeat", "repetition_penalty"],
] as const;

function generationConfigOf(values: Json): Json {
  return Object.fromEntries(
    SAMPLING_KEYS.flatMap(([key, name]) => {
      const value = values[`general.sampling.${key}`];
      // Metadata has 32-bit floats: 0.95 is 0.949999988.
      return value === undefined
        ? []
        : [[name, typeof value === "number" ? Number(value.toPrecision(6)) : value]];
    }),
  );
}
