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
