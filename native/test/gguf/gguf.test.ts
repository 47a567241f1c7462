// GGUF files: every block format against gguf-py and transformers, every architecture against
// transformers, and what is refused.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, it } from "vitest";
import { type Dtype, openEngine } from "../../src/index.ts";
import { nmse } from "../logits.ts";

const fixture = (name: string) => fileURLToPath(new URL(`fixtures/${name}`, import.meta.url));
const model = fixture("model.gguf");
interface Reference {
  tokens: number[];
  logits: number[][];
}
const readReference = (name: string) =>
  JSON.parse(readFileSync(fixture(name), "utf8")) as Reference;
const reference = readReference("logits.json");

const folder = mkdtempSync(join(tmpdir(), "anabranch-gguf-"));
afterAll(() => rmSync(folder, { recursive: true }));

const open = (path: string, dtype: Dtype = "fp32") =>
  openEngine({ model: path, dtype, kvMib: 1, threads: 1 }, () => {});

async function logitsOf(path: string, dtype: Dtype, { tokens } = reference): Promise<number[]> {
  const engine = open(path, dtype);
  try {
    const scored = await engine.score([{ serial: tokens }], "sum", { logits: true });
    return [...(scored.logits ?? [])];
  } finally {
    engine.close();
  }
}

/**
 * The fixture in two parts, as llama.cpp splits files: all metadata in the first part, and the first
 * `count` tensors.
 */
function writeParts(name: string, count: number): void {
  const whole = readFileSync(model);
  const total = Number(whole.readBigUInt64LE(8));
  // Descriptions of tensors: name, dimensions, type, offset.
  const first = whole.indexOf("token_embd.weight") - 8;
  const ends: number[] = [];
  for (let at = first; ends.length < total; ends.push(at)) {
    at += 8 + Number(whole.readBigUInt64LE(at));
    at += 4 + 8 * whole.readUInt32LE(at) + 12;
  }
  const [middle = 0, end = 0] = [ends[count - 1], ends[total - 1]];
  const data = whole.subarray(Math.ceil(end / 32) * 32);
  const write = (part: number, tensors: number, values: bigint, header: Buffer) => {
    const head = Buffer.from(whole.subarray(0, 24));
    head.writeBigUInt64LE(BigInt(tensors), 8);
    head.writeBigUInt64LE(values, 16);
    const bytes = Buffer.concat([head, header]);
    const padding = Buffer.alloc((32 - (bytes.length % 32)) % 32);
    writeFileSync(`${name}-0000${part}-of-00002.gguf`, Buffer.concat([bytes, padding, data]));
  };
  write(1, count, whole.readBigUInt64LE(16), whole.subarray(24, middle));
  write(2, total - count, 0n, whole.subarray(middle, end));
}

describe("a GGUF file", () => {
  it.each<[Dtype, number]>([
    ["fp32", 1e-10],
    ["bf16", 1e-3],
    ["int8", 5e-3],
  ])(
    "with a matrix in every block format gives transformers' logits in %s",
    async (dtype, limit) => {
      expect(nmse(await logitsOf(model, dtype), reference.logits.flat())).toBeLessThan(limit);
    },
  );

  // make_family_fixtures.py
  it.each([
    ["a llama with a sliding window, as Mistral's", "mistral-window"],
    ["gemma3", "gemma3"],
    ["phi3 beyond its original context", "phi3-longrope"],
    ["phi3 within its original context", "phi3-short"],
    ["olmo2", "olmo2"],
    ["smollm3", "smollm3"],
    ["granite", "granite"],
  ])("of architecture %s gives transformers' logits", async (_, name) => {
    const family = readReference(`${name}.json`);
    const want = family.logits.flat();
    expect(nmse(await logitsOf(fixture(`${name}.gguf`), "fp32", family), want)).toBeLessThan(1e-10);
    expect(nmse(await logitsOf(fixture(`${name}.gguf`), "bf16", family), want)).toBeLessThan(2e-3);
  });

  it.each([1, 2])("may be split; part %i names all of it", async (part) => {
    writeParts(join(folder, "split"), 9);
    const logits = await logitsOf(join(folder, `split-0000${part}-of-00002.gguf`), "fp32");
    expect(nmse(logits, reference.logits.flat())).toBeLessThan(1e-10);
  });

  it("tells its vocabulary, context and digest", () => {
    const engine = open(model);
    expect(engine.info()).toMatchObject({ vocabulary: 96, context: 128, dialect: "" });
    engine.close();
  });
});

describe("a broken GGUF file", () => {
  const whole = readFileSync(model);
  const refusal = (bytes: Buffer): string => {
    const path = join(folder, "broken.gguf");
    writeFileSync(path, bytes);
    try {
      open(path).close();
    } catch (error) {
      return String(error);
    }
    return "";
  };
  const changed = (at: number, value: number) => {
    const bytes = Buffer.from(whole);
    bytes.writeUInt32LE(value, at);
    return bytes;
  };

  it("is refused wherever it ends", () => {
    for (let size = 0; size < whole.length; size += size < 4_000 ? 61 : 30_011) {
      expect(refusal(whole.subarray(0, size)), `${size} bytes`).toMatch(/broken\.gguf/);
    }
  });

  it("is refused by name of what is wrong", () => {
    expect(refusal(changed(0, 1))).toMatch(/not a GGUF file/);
    expect(refusal(changed(4, 9))).toMatch(/version 9; known are 2 and 3/);
    expect(refusal(changed(8, 0x7fffffff))).toMatch(/impossible number of entries/);
    // A size of embeddings below the number of heads: the key, its type, its value.
    const key = "llama.embedding_length";
    expect(refusal(changed(whole.indexOf(key) + key.length + 4, 1))).toMatch(
      /impossible head size/,
    );
    const architecture = whole.indexOf("llama", 24);
    const other = Buffer.from(whole);
    other.write("lxama", architecture);
    expect(refusal(other)).toMatch(/general\.architecture is "lxama"; known are llama/);
  });

  it("is refused if its architecture has no sliding window but the file does", () => {
    /** A metadata entry that is a uint32, as it is in the file. */
    const entry = (key: string, value: number) => {
      const bytes = Buffer.alloc(8 + key.length + 8);
      bytes.writeUInt32LE(key.length, 0);
      bytes.write(key, 8);
      bytes.writeUInt32LE(4, 8 + key.length);
      bytes.writeUInt32LE(value, 8 + key.length + 4);
      return bytes;
    };
    const qwen2 = Buffer.from(whole.toString("latin1").replaceAll("llama", "qwen2"), "latin1");
    const withWindow = (window: number) => {
      // Two entries before the others; 64 bytes in all, so that the tensors stay aligned.
      const added = [entry("qwen2.attention.sliding_window", window), entry("xx", 0)];
      const header = Buffer.from(qwen2.subarray(0, 24));
      header.writeUInt32LE(header.readUInt32LE(16) + added.length, 16);
      return Buffer.concat([header, ...added, qwen2.subarray(24)]);
    };
    expect(refusal(withWindow(0))).toBe("");
    expect(refusal(withWindow(4_096))).toMatch(
      /"qwen2\.attention\.sliding_window" is not 0, which is not supported in this architecture/,
    );
  });

  it("ends in an error or a model, whatever single byte of its header is wrong", () => {
    const header = whole.indexOf("output_norm.weight");
    for (let at = 0; at < header; at += 7) {
      const bytes = Buffer.from(whole);
      bytes[at] = (bytes[at] ?? 0) ^ (1 << (at % 8));
      expect(refusal(bytes)).toMatch(/^$|broken\.gguf/);
    }
  });
});
