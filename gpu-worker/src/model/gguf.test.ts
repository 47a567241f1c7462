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

/** The fixture with general.sampling.* before its other metadata. */
function withFloats(values: Record<string, number>): Buffer {
  const file = readFileSync(path);
  const entries = Object.entries(values).map(([name, value]) => {
    const key = Buffer.from(`general.sampling.${name}`);
    const entry = Buffer.alloc(8 + key.length + 8);
    entry.writeBigUInt64LE(BigInt(key.length));
    key.copy(entry, 8);
    entry.writeUInt32LE(6, 8 + key.length); // the type: a 32-bit float
    entry.writeFloatLE(value, 12 + key.length);
    return entry;
  });
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
