import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, it } from "vitest";
import { readGguf } from "./gguf.ts";
import { locatePath } from "./locate.ts";
import { preTokenizerOf } from "./pre-tokenizers.ts";
import { TextModel } from "./text-model.ts";

const path = fileURLToPath(
  new URL("../../../native/test/gguf/fixtures/model.gguf", import.meta.url),
);
const folder = mkdtempSync(join(tmpdir(), "anabranch-gguf-"));
afterAll(() => rmSync(folder, { recursive: true }));

// Pieces of a GGUF file: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md.
const uint32 = (value: number) => Buffer.from(Uint32Array.of(value).buffer);
const uint64 = (value: number) => Buffer.from(BigUint64Array.of(BigInt(value)).buffer);
const float = (value: number) => Buffer.from(Float32Array.of(value).buffer);
const text = (value: string) =>
  Buffer.concat([uint64(Buffer.byteLength(value)), Buffer.from(value)]);
const list = (type: number, items: Buffer[]) =>
  Buffer.concat([uint32(type), uint64(items.length), ...items]);
const entry = (key: string, type: number, value: Buffer) =>
  Buffer.concat([text(key), uint32(type), value]);
const header = (entries: number) =>
  Buffer.concat([Buffer.from("GGUF"), uint32(3), uint64(0), uint64(entries)]);

/** The fixture with general.sampling.* before its other metadata. */
function withFloats(values: Record<string, number>): Buffer {
  const file = readFileSync(path);
  const entries = Object.entries(values).map(([name, value]) =>
    entry(`general.sampling.${name}`, 6, float(value)),
  );
  // Magic, version, number of tensors; then the number of values, and these.
  const head = Buffer.from(file.subarray(0, 24));
  head.writeBigUInt64LE(head.readBigUInt64LE(16) + BigInt(entries.length), 16);
  return Buffer.concat([head, ...entries, file.subarray(24)]);
}

describe("the text model of a GGUF file", () => {
  it("has its tokenizer, chat template and name", async () => {
    const model = await TextModel.open(locatePath(path));
    expect(model.id).toBe("model");
    expect(model.decode(model.tokens("a cat, 42!"))).toBe("a cat, 42!");
    const ids = model.chat([{ role: "user", content: "hi" }]);
    expect(model.decode(ids)).toBe("hi<|im_end|>");
    expect(ids.at(-1)).toBe(95);
    // A control token in a message's own text is no control token.
    expect(
      model.chat([{ role: "user", content: "<|im_end|>" }]).filter((id) => id === 95),
    ).toHaveLength(1);
  });

  it("of a split file is read from the first part, whichever is named", async () => {
    const part = (number: number) => join(folder, `Some-Model.Q4_0-0000${number}-of-00002.gguf`);
    copyFileSync(path, part(1));
    writeFileSync(part(2), "not read");
    expect((await TextModel.open(locatePath(part(2)))).id).toBe("Some-Model.Q4_0");
  });

  it("splits words as the named pre-tokenizer does", async () => {
    const { tokenizer } = await readGguf(path);
    expect(tokenizer).toMatchObject({ pre_tokenizer: preTokenizerOf("smollm").preTokenizer });
  });

  it("has the sampling that its metadata recommends", async () => {
    const sampled = join(folder, "sampled.gguf");
    writeFileSync(sampled, withFloats({ temp: 0.6, top_p: 0.95, penalty_repeat: 1.05 }));
    const { generationConfig } = await readGguf(sampled);
    expect(generationConfig).toEqual({ temperature: 0.6, top_p: 0.95, repetition_penalty: 1.05 });
    expect((await readGguf(path)).generationConfig).toEqual({});
  });

  it("keeps a byte order mark at the start of a token", async () => {
    /** A file with these metadata entries: key, type and value as they are in the file. */
    const bytes = Buffer.concat([
      header(5),
      entry("general.architecture", 8, text("llama")),
      entry("tokenizer.ggml.model", 8, text("llama")),
      entry("tokenizer.ggml.tokens", 9, list(8, ["<unk>", "\ufeff//", "//", "/"].map(text))),
      entry("tokenizer.ggml.scores", 9, list(6, [0, -1, -2, -3].map(float))),
      entry("tokenizer.ggml.token_type", 9, list(5, [2, 1, 1, 1].map(uint32))),
    ]);
    const file = join(folder, "marks.gguf");
    writeFileSync(file, bytes);
    const { tokenizer } = await readGguf(file);
    const { vocab } = tokenizer.model as { vocab: Record<string, number> };
    expect(vocab).toEqual({ "<unk>": 0, "\ufeff//": 1, "//": 2, "/": 3 });
  });

  it("is refused by name of what is missing or not known", async () => {
    const broken = join(folder, "broken.gguf");
    const bytes = readFileSync(path);
    bytes.write("smxllm", bytes.indexOf("smollm"));
    writeFileSync(broken, bytes);
    await expect(TextModel.open(locatePath(broken))).rejects.toThrow(
      /tokenizer\.ggml\.pre is "smxllm"; known are/,
    );
    writeFileSync(broken, bytes.subarray(0, 100));
    await expect(TextModel.open(locatePath(broken))).rejects.toThrow(/broken\.gguf/);
  });
});
