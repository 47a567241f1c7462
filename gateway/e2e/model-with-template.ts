// The small model with another chat template, in a folder of its own.
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { writeLookup } from "../../native/test/chain-model.ts";

const path = (relative: string) => fileURLToPath(new URL(relative, import.meta.url));

/** The text of a template of gpu-worker/test/chat-templates. */
export const knownTemplate = (file: string): string =>
  readFileSync(path(`../../gpu-worker/test/chat-templates/${file}`), "utf8");

export class TemplateModels {
  readonly #folder = mkdtempSync(join(tmpdir(), "anabranch-templates-"));

  /** Its folder. */
  make(name: string, template: string): string {
    const model = join(this.#folder, name);
    cpSync(path("../../models/small"), model, { recursive: true });
    const config = JSON.parse(readFileSync(join(model, "tokenizer_config.json"), "utf8"));
    const given = { ...config, chat_template: template, bos_token: "<|endoftext|>" };
    writeFileSync(join(model, "tokenizer_config.json"), JSON.stringify(given));
    return model;
  }

  /** One whose config names another end token than its tokenizer; its folder. */
  unended(name: string): string {
    const small = JSON.parse(
      readFileSync(path("../../models/small/tokenizer_config.json"), "utf8"),
    );
    const model = this.make(name, small.chat_template);
    const config = JSON.parse(readFileSync(join(model, "config.json"), "utf8"));
    writeFileSync(join(model, "config.json"), JSON.stringify({ ...config, eos_token_id: 1 }));
    writeFileSync(join(model, "generation_config.json"), JSON.stringify({ do_sample: false }));
    return model;
  }

  /** One that says a word and ends; in a form it closes what is open. Its folder. */
  brief(name: string, template: string): string {
    const model = this.make(name, template);
    const { vocab } = JSON.parse(readFileSync(join(model, "tokenizer.json"), "utf8")).model;
    const idOf = (token: string): number => vocab[token];
    const [hidden, eos] = [4, idOf("<|im_end|>")];
    const size = Object.keys(vocab).length * hidden;
    const embedding = Float32Array.from({ length: size }, (_, at) => (at % hidden === 0 ? 1 : 0));
    const head = new Float32Array(size);
    head[eos * hidden] = 60;
    head[idOf('"') * hidden] = 40;
    head[idOf("}") * hidden] = 30;
    // An answer begins after a line break.
    embedding.set([0, 1], idOf("Ċ") * hidden);
    head[idOf("Here") * hidden + 1] = 60;
    writeLookup(model, { embedding, head, hidden, eos });
    return model;
  }

  remove(): void {
    rmSync(this.#folder, { recursive: true });
  }
}
