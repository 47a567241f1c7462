// The model's own tokenizer and chat template: text to ids and back.
import { existsSync, readFileSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import { Template } from "@huggingface/jinja";
import { Tokenizer } from "@huggingface/tokenizers";
import { type Dialect, readDialect } from "./dialect.ts";

export interface Message {
  role: string;
  content: string;
  name?: string;
}

/** Input that can't be turned into a prompt; the message is for the client. */
export class PromptError extends Error {}

type Json = Record<string, unknown>;

const readJson = (path: string): Json => JSON.parse(readFileSync(path, "utf8")) as Json;

/** Special tokens appear in configs as strings or as {content}. */
function tokenText(value: unknown): string {
  if (typeof value === "string") return value;
  if (typeof value === "object" && value !== null && "content" in value) {
    return String(value.content);
  }
  return "";
}

export class TextModel {
  readonly id: string;
  /** Absent: the model does not branch. */
  readonly dialect: Dialect | undefined;
  readonly #tokenizer: Tokenizer;
  readonly #template: Template | undefined;
  readonly #specials: Json;
  readonly #added: string[];

  /** @throws Error naming the file that is missing or wrong */
  constructor(folder: string, id?: string) {
    const tokenizerPath = join(folder, "tokenizer.json");
    const configPath = join(folder, "tokenizer_config.json");
    const config = existsSync(configPath) ? readJson(configPath) : {};
    try {
      this.#tokenizer = new Tokenizer(readJson(tokenizerPath), config);
    } catch (error) {
      throw new Error(`${tokenizerPath}: ${error instanceof Error ? error.message : error}`);
    }
    const jinja = join(folder, "chat_template.jinja");
    const template = existsSync(jinja) ? readFileSync(jinja, "utf8") : config.chat_template;
    this.#template = typeof template === "string" ? new Template(template) : undefined;
    this.#specials = Object.fromEntries(
      Object.entries(config)
        .filter(([key]) => key.endsWith("_token"))
        .map(([key, value]) => [key, tokenText(value)]),
    );
    // Longest first, so that of two tokens that begin alike the one the tokenizer takes is found.
    this.#added = [...this.#tokenizer.get_added_tokens_decoder().values()]
      .map(({ content }) => content)
      .filter((content) => content.length > 0)
      .sort((a, b) => b.length - a.length);
    this.dialect = readDialect(folder);
    this.id = id ?? nameOf(folder);
  }

  /**
   * The ids of a chat prompt: the model's template over the messages, tokenized as Hugging Face
   * does. Added tokens (markers among them) that stand in a message's own text are written as
   * ordinary tokens, so that no client can forge one.
   * @throws PromptError where the template refuses the messages
   */
  chat(messages: Message[]): number[] {
    if (!this.#template) {
      throw new PromptError("this model has no chat template; use /v1/completions");
    }
    const quoted = new Quoted(this.#added, messages.map(({ content }) => content).join(""));
    const safe = messages.map((message) => ({
      ...message,
      content: quoted.hide(message.content),
      ...(message.name === undefined ? {} : { name: quoted.hide(message.name) }),
    }));
    let prompt: string;
    try {
      prompt = this.#template.render({
        messages: safe,
        add_generation_prompt: true,
        ...this.#specials,
      });
    } catch (error) {
      throw new PromptError(
        `the model's chat template refuses these messages: ${error instanceof Error ? error.message : error}`,
      );
    }
    return this.#encodeQuoted(prompt, quoted, false);
  }

  /** The ids of a plain text prompt, with the model's own start tokens. */
  text(prompt: string): number[] {
    const quoted = new Quoted(this.#added, prompt);
    return this.#encodeQuoted(quoted.hide(prompt), quoted, true);
  }

  decode(ids: readonly number[]): string {
    if (ids.length === 0) return "";
    return this.#tokenizer.decode([...ids], {
      skip_special_tokens: false,
      clean_up_tokenization_spaces: false,
    });
  }

  #encode(text: string, withStart: boolean): number[] {
    if (text === "") return [];
    return [...this.#tokenizer.encode(text, { add_special_tokens: withStart }).ids];
  }

  #encodeQuoted(text: string, quoted: Quoted, withStart: boolean): number[] {
    const out: number[] = [];
    quoted.split(text).forEach(({ plain, literal }, index) => {
      for (const id of this.#encode(plain, withStart && index === 0)) out.push(id);
      if (literal) for (const id of this.#literal(literal)) out.push(id);
    });
    return out;
  }

  /** An added token's text as ordinary tokens: cut until no piece is an added token. */
  #literal(text: string): number[] {
    for (let cut = 1; cut < text.length; cut++) {
      const [head, tail] = [text.slice(0, cut), text.slice(cut)];
      if ([head, tail].some((piece) => this.#added.some((token) => piece.includes(token)))) {
        continue;
      }
      return [...this.#encode(head, false), ...this.#encode(tail, false)];
    }
    return [...text].flatMap((character) =>
      this.#added.includes(character) ? [] : this.#encode(character, false),
    );
  }
}

/** The occurrences of added tokens in user text, taken out before rendering and spliced back. */
class Quoted {
  readonly #pattern: RegExp | undefined;
  readonly #open: string;
  readonly #close: string;
  readonly #literals: string[] = [];

  constructor(added: string[], userText: string) {
    // Two private-use characters that the user did not write.
    let code = 0xe000;
    const unused = () => {
      while (userText.includes(String.fromCharCode(code))) code++;
      return String.fromCharCode(code++);
    };
    this.#open = unused();
    this.#close = unused();
    if (added.some((token) => userText.includes(token))) {
      const escaped = added.map((token) => token.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
      this.#pattern = new RegExp(escaped.join("|"), "g");
    }
  }

  hide(text: string): string {
    if (!this.#pattern) return text;
    return text.replace(this.#pattern, (literal) => {
      this.#literals.push(literal);
      return `${this.#open}${this.#literals.length - 1}${this.#close}`;
    });
  }

  /** Plain stretches, each followed by the literal that was hidden after it. */
  split(text: string): { plain: string; literal?: string }[] {
    if (this.#literals.length === 0) return [{ plain: text }];
    const pieces = text.split(new RegExp(`${this.#open}(\\d+)${this.#close}`));
    const out: { plain: string; literal?: string }[] = [];
    for (let i = 0; i < pieces.length; i += 2) {
      const literal = this.#literals[Number(pieces[i + 1] ?? Number.NaN)];
      out.push({ plain: pieces[i] ?? "", ...(literal === undefined ? {} : { literal }) });
    }
    return out;
  }
}

/** A model's name: what its config says it is called, else its folder's. */
function nameOf(folder: string): string {
  const path = join(folder, "config.json");
  const named = existsSync(path) ? readJson(path)._name_or_path : undefined;
  if (typeof named === "string" && named !== "" && !/^[./]/.test(named)) return named;
  return basename(resolve(folder));
}
