// The model's own tokenizer and chat template: text to ids and back.
import { createHash } from "node:crypto";
import type { StructureRun } from "@anabranch/native";
import { type AnswerPart, titlesOf } from "@anabranch/shared/parts.ts";
import { Thinking } from "@anabranch/shared/proto/anabranch/v1/lane_events_pb.js";
import { type ToolFormatName, toolFormats } from "@anabranch/shared/tool-formats.ts";
import type { Tokenizer } from "@huggingface/tokenizers";
import { builtIns, type ReadTemplate, readTemplate } from "./chat-template.ts";
import type { Dialect } from "./dialect.ts";
import { readGguf } from "./gguf.ts";
import { type AnswerIds, answerIds } from "./history.ts";
import type { LocatedModel } from "./locate.ts";
import { type Json, type ModelFiles, readFolder } from "./model-files.ts";
import { RunBuilder } from "./runs.ts";
import { tokenBytes, tokenTexts } from "./token-texts.ts";
import { openTokenizer } from "./tokenizer.ts";
import { templateToolFormat } from "./tool-format.ts";

export interface Message {
  role: string;
  content: string;
  name?: string;
  /** The structure of an earlier answer: texts and bodies in order are `content`. */
  parts?: readonly AnswerPart[];
  toolCalls?: readonly ToolCall[];
  /** Of a message with a tool's result. */
  toolCallId?: string;
}

/** A call of a tool that an earlier answer made. */
export interface ToolCall {
  id: string;
  name: string;
  /** JSON. */
  arguments: string;
}

/** More of what a chat template is given. `add_generation_prompt` is true unless it says otherwise. */
export type TemplateArguments = Json;

/** Input that can't become a prompt. The message is for the client. */
export class PromptError extends Error {}

/** Special tokens appear in configs as strings or as {content}. */
function tokenText(value: unknown): string {
  if (typeof value === "string") return value;
  if (typeof value === "object" && value !== null && "content" in value) {
    return String(value.content);
  }
  return "";
}

/** One token, or the beginning of several, in any vocabulary. */
const sample = "a";

export class TextModel {
  /**
   * @param id the name that clients ask for, in place of its own
   * @throws Error naming the file that is missing or wrong
   */
  static async open({ format, path, name }: LocatedModel, id?: string): Promise<TextModel> {
    return new TextModel(format === "gguf" ? await readGguf(path) : readFolder(path), id ?? name);
  }

  readonly id: string;
  /** What it was made from. */
  readonly files: ModelFiles;
  /** Why the model has no chats, although it has a chat template. */
  readonly templateFault: string | undefined;
  /** Absent: the model does not branch. */
  readonly dialect: Dialect | undefined;
  /** As in generation_config.json; empty if the model has none. */
  readonly generationConfig: Json;
  readonly #tokenizer: Tokenizer;
  readonly #template: ReadTemplate | undefined;
  /** Of requests that offer tools. */
  readonly #toolTemplate: ReadTemplate | undefined;
  /** How the model calls tools; absent: its template has none. */
  readonly toolFormat: ToolFormatName | undefined;
  readonly #specials: Json;
  readonly #added: string[];
  /** Ends a text, as the tokenizer names it: not every model's config does. Undefined: it names none. */
  readonly endToken: number | undefined;
  /** What the model puts before a text, */
  readonly startTokens: readonly number[];
  /** and after it. */
  readonly #lastTokens: readonly number[];
  #bytes: Uint8Array[] | undefined;
  #digest: string | undefined;
  #tokenLimit: number | undefined;

  /**
   * @param model a Hugging Face folder, or the files of another format
   * @throws Error naming the file that is missing or wrong
   */
  constructor(model: string | ModelFiles, id?: string) {
    const files = typeof model === "string" ? readFolder(model) : model;
    this.files = files;
    const config = files.tokenizerConfig;
    try {
      this.#tokenizer = openTokenizer(files.tokenizer, config);
    } catch (error) {
      throw new Error(`${files.tokenizerPath}: ${error instanceof Error ? error.message : error}`);
    }
    const { text, forTools = text } = files.chatTemplate ?? {};
    const read = (given: string | undefined) =>
      given !== undefined && files.chatTemplate
        ? readTemplate(given, files.chatTemplate)
        : undefined;
    this.#template = read(text);
    this.#toolTemplate = forTools === text ? this.#template : read(forTools);
    this.templateFault = this.#template?.fault ?? this.#toolTemplate?.fault;
    this.toolFormat = templateToolFormat(forTools ?? "");
    this.#specials = Object.fromEntries(
      Object.entries(config)
        .filter(([key]) => key.endsWith("_token"))
        .map(([key, value]) => [key, tokenText(value)]),
    );
    // What no client's text may become: control tokens and markers. Other added tokens, such as those around
    // thoughts, are text, as in Hugging Face's own use; templates look for them in earlier answers.
    const { markers = new Set<number>() } = files.dialect ?? {};
    // Longest first: of two tokens that begin alike, the tokenizer takes the longer one.
    this.#added = [...this.#tokenizer.get_added_tokens_decoder()]
      .filter(([id, { special }]) => special || markers.has(id))
      .map(([, { content }]) => content)
      .filter((content) => content.length > 0)
      .sort((a, b) => b.length - a.length);
    this.dialect = files.dialect;
    this.generationConfig = files.generationConfig;
    this.endToken = this.#tokenizer.token_to_id(tokenText(config.eos_token));
    const bare = this.#encode(sample);
    const whole = [...this.#tokenizer.encode(sample).ids];
    const at = Math.max(0, whole.indexOf(bare[0] ?? -1));
    this.startTokens = whole.slice(0, at);
    this.#lastTokens = whole.slice(at + bare.length);
    this.id = id ?? files.name;
  }

  /**
   * The ids of a chat prompt: the model's template over the messages, tokenized as Hugging Face
   * does. Added tokens (markers among them) in the text of a message become ordinary tokens, so that no
   * client can forge a marker.
   * @throws PromptError if the template refuses the messages
   */
  chat(messages: readonly Message[], tools: readonly Json[] = []): number[] {
    const quoted = new Quoted(this.#added, textIn(messages) + JSON.stringify(tools));
    const prompt = this.#render(quoted.hideIn(messages), { tools: quoted.hideAll(tools) });
    return this.#encodeQuoted(prompt, quoted);
  }

  /**
   * The same prompt as runs: an earlier answer with parts keeps the tokens and the structure that decoding
   * it produced. An answer that can't be structured is plain text.
   * @param tools as templates see them
   * @param more of what the template is given
   * @throws PromptError as chat does
   */
  conversation(
    messages: readonly Message[],
    tools: readonly Json[] = [],
    more: TemplateArguments = {},
  ): StructureRun[] {
    if (this.toolFormat === undefined) refuseTools(messages, tools);
    const quoted = new Quoted(this.#added, textIn(messages) + JSON.stringify([tools, more]));
    const plain = quoted.hideIn(messages);
    const shown = { ...quoted.hideInside(more), tools: quoted.hideAll(tools) };
    const prompt = this.#render(plain, shown);
    const answers = messages.map(({ parts }) => this.#answerIds(parts ?? [], quoted));
    const builder = new RunBuilder();
    for (const { text, answer } of this.#around(prompt, plain, shown, answers, quoted)) {
      builder.serial(this.#encodeQuoted(text, quoted));
      for (const part of answer) {
        if ("serial" in part) builder.serial(part.serial);
        else builder.stage(part.stage);
      }
    }
    const { runs } = builder;
    // A stage needs text before it: no answer can have opened it otherwise.
    const [first] = runs;
    if (first && "serial" in first && first.serial.length > 0) return runs;
    return [{ serial: this.#encodeQuoted(prompt, quoted) }];
  }

  /** The ids of a plain text prompt, with the model's own start tokens unless it is `bare`. */
  text(prompt: string, bare = false): number[] {
    const quoted = new Quoted(this.#added, prompt);
    const ids = this.#encodeQuoted(quoted.hide(prompt), quoted);
    return bare ? ids : [...this.startTokens, ...ids, ...this.#lastTokens];
  }

  /** The ids of trusted text: added tokens in it stay added tokens. */
  tokens(text: string): number[] {
    return this.#encode(text);
  }

  /** What each token says by itself, by id; empty for added tokens. */
  get tokenTexts(): string[] {
    return tokenTexts(this.tokenBytes, this.#tokenizer.get_added_tokens_decoder());
  }

  /** What each token writes, by id; empty for special tokens, but for the one that begins calls of tools. */
  get tokenBytes(): Uint8Array[] {
    const trigger = this.toolFormat && toolFormats[this.toolFormat].trigger;
    const added = new Map(
      [...this.#tokenizer.get_added_tokens_decoder()].map(([id, { content, special }]) => [
        id,
        { content, special: special && content !== trigger },
      ]),
    );
    return tokenBytes(this.files.tokenizer, this.#tokenizer.get_vocab(true), added);
  }

  /** What a token writes; of one that is no text, its name. */
  bytesOf(id: number): Uint8Array {
    this.#bytes ??= tokenBytes(
      this.files.tokenizer,
      this.#tokenizer.get_vocab(true),
      new Map(
        [...this.#tokenizer.get_added_tokens_decoder()].map(
          ([added, { content }]) => [added, { content, special: false }] as const,
        ),
      ),
    );
    return this.#bytes[id] ?? new Uint8Array();
  }

  /** A token of this model that `other` has not, or has with another id; undefined if there is none. */
  tokenUnlike(other: TextModel): string | undefined {
    const theirs = other.#tokenizer.get_vocab(true);
    for (const [token, id] of this.#tokenizer.get_vocab(true)) {
      if (theirs.get(token) !== id) return token;
    }
    return undefined;
  }

  /** Whether an answer to this prompt may begin with the model's thinking, as its template marks it. */
  thinkingAfter(prompt: readonly number[]): Thinking {
    if (!this.files.chatTemplate?.text.includes("</think>")) return Thinking.UNSPECIFIED;
    const end = this.decode(prompt.slice(-16)).trimEnd();
    if (end.endsWith("<think>")) return Thinking.OPEN;
    // It was told not to.
    return end.endsWith("</think>") ? Thinking.UNSPECIFIED : Thinking.MARKED;
  }

  /** The digest of the model: the engine's, of weights and dialect, and that of the text files. */
  digestWith(engineDigest: string): string {
    return `${engineDigest}-${this.#textDigest()}`;
  }

  /** The engine's part of `digest`; empty if it was made with other text files. */
  engineDigest(digest: string): string {
    const own = `-${this.#textDigest()}`;
    return digest.endsWith(own) ? digest.slice(0, -own.length) : "";
  }

  /** Of what decides which ids a prompt has, and what ids say. */
  #textDigest(): string {
    const { tokenizer, tokenizerConfig, chatTemplate } = this.files;
    this.#digest ??= createHash("sha256")
      .update(
        JSON.stringify([
          ...[tokenizer, tokenizerConfig, chatTemplate?.text ?? null],
          ...(chatTemplate?.forTools === undefined ? [] : [chatTemplate.forTools]),
        ]),
      )
      .digest("hex")
      .slice(0, 16);
    return this.#digest;
  }

  /** One more than the largest id of a token. */
  get tokenLimit(): number {
    if (this.#tokenLimit === undefined) {
      let largest = -1;
      for (const id of this.#tokenizer.get_vocab(true).values()) largest = Math.max(largest, id);
      this.#tokenLimit = largest + 1;
    }
    return this.#tokenLimit;
  }

  decode(ids: readonly number[]): string {
    if (ids.length === 0) return "";
    return this.#tokenizer.decode([...ids], {
      skip_special_tokens: false,
      clean_up_tokenization_spaces: false,
    });
  }

  #render(messages: readonly Rendered[], given: Json): string {
    const template = given.tools ? this.#toolTemplate : this.#template;
    if (!template) {
      throw new PromptError("this model has no chat template; use /v1/completions");
    }
    if (template.fault !== undefined) {
      throw new PromptError(`${template.fault}; /v1/completions needs none`);
    }
    try {
      return template.read.render({
        add_generation_prompt: true,
        ...given,
        messages,
        // As transformers does: templates ask whether they are none.
        documents: null,
        ...this.#specials,
        ...builtIns,
      });
    } catch (error) {
      throw new PromptError(
        `the model's chat template refuses these messages: ${error instanceof Error ? error.message : error}`,
      );
    }
  }

  #answerIds(parts: readonly AnswerPart[], quoted: Quoted): AnswerIds[] | null {
    if (!this.dialect || parts.length === 0) return null;
    return answerIds(parts, this.dialect, (text) => {
      const ids = this.#encodeQuoted(quoted.hide(text), quoted);
      return this.decode(ids) === text ? ids : null;
    });
  }

  /**
   * The text that the template writes before each structured answer and after the last one. The whole
   * prompt as one text, if the template does more with the content of an answer than copy it.
   */
  #around(
    prompt: string,
    plain: readonly Rendered[],
    given: Json,
    answers: readonly (AnswerIds[] | null)[],
    quoted: Quoted,
  ): { text: string; answer: AnswerIds[] }[] {
    const whole = [{ text: prompt, answer: [] }];
    if (answers.every((answer) => answer === null)) return whole;
    let withSlots: string;
    try {
      withSlots = this.#render(
        plain.map((each, i) => (answers[i] ? { ...each, content: quoted.slot(i) } : each)),
        given,
      );
    } catch {
      return whole;
    }
    const stretches = quoted.splitSlots(withSlots);
    const again = stretches.map(({ text, slot }) => text + (plain[slot]?.content ?? "")).join("");
    if (again !== prompt) return whole;
    return stretches.map(({ text, slot }) => ({ text, answer: answers[slot] ?? [] }));
  }

  #encode(text: string): number[] {
    if (text === "") return [];
    return [...this.#tokenizer.encode(text, { add_special_tokens: false }).ids];
  }

  #encodeQuoted(text: string, quoted: Quoted): number[] {
    const out: number[] = [];
    for (const { plain, literal } of quoted.split(text)) {
      for (const id of this.#encode(plain)) out.push(id);
      if (literal) for (const id of this.#literal(literal)) out.push(id);
    }
    return out;
  }

  /** The text of an added token as ordinary tokens: cut where neither half holds an added token. */
  #literal(text: string): number[] {
    for (let cut = 1; cut < text.length; cut++) {
      const [head, tail] = [text.slice(0, cut), text.slice(cut)];
      if ([head, tail].some((half) => this.#added.some((token) => half.includes(token)))) {
        continue;
      }
      return [...this.#encode(head), ...this.#encode(tail)];
    }
    return [...text].flatMap((character) =>
      this.#added.includes(character) ? [] : this.#encode(character),
    );
  }
}

/** A message as a template sees it. */
interface Rendered {
  role: string;
  content: string;
  name?: string;
  tool_calls?: unknown;
  tool_call_id?: string;
}

/** Throws if a template without tools would leave some out. */
function refuseTools(messages: readonly Message[], tools: readonly Json[]): void {
  if (tools.length > 0) {
    throw new PromptError("tools: this model's chat template has no tools that could be called");
  }
  if (messages.some(({ role, toolCalls = [] }) => role === "tool" || toolCalls.length > 0)) {
    throw new PromptError("this model's chat template has no calls of tools, nor their results");
  }
}

/** All text that clients wrote. */
const textIn = (messages: readonly Message[]): string =>
  messages
    .flatMap(({ content, name = "", parts = [], toolCalls = [], toolCallId = "" }) => [
      ...[content, name, toolCallId],
      ...toolCalls.flatMap((call) => [call.id, call.name, call.arguments]),
      ...titlesOf(parts),
    ])
    .join("");

/** Calls as templates know them: arguments as an object. */
const callsOf = (calls: readonly ToolCall[]) =>
  calls.map(({ id, name, arguments: text }) => ({
    ...{ id, type: "function" },
    function: { name, arguments: parsed(text) },
  }));

/** Arguments that are no JSON stay text. */
function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/**
 * Takes added tokens out of user text before rendering and puts them back after it. Slots mark the places
 * of text that is tokenized by itself.
 */
class Quoted {
  readonly #pattern: RegExp | undefined;
  readonly #open: string;
  readonly #close: string;
  readonly #slot: string;
  readonly #literals: string[] = [];

  constructor(added: string[], userText: string) {
    // Private-use characters that the user did not write.
    let code = 0xe000;
    const unused = () => {
      while (userText.includes(String.fromCharCode(code))) code++;
      return String.fromCharCode(code++);
    };
    this.#open = unused();
    this.#close = unused();
    this.#slot = unused();
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

  hideIn(messages: readonly Message[]): Rendered[] {
    return messages.map(({ role, content, name, toolCalls = [], toolCallId }) => ({
      role,
      content: this.hide(content),
      ...(name === undefined ? {} : { name: this.hide(name) }),
      ...(toolCalls.length > 0 && { tool_calls: this.#hideWithin(callsOf(toolCalls)) }),
      ...(toolCallId === undefined ? {} : { tool_call_id: this.hide(toolCallId) }),
    }));
  }

  /** As a template sees them: null if there are none. */
  hideAll(tools: readonly Json[]): unknown {
    return tools.length === 0 ? null : this.#hideWithin(tools);
  }

  hideInside(given: Json): Json {
    return this.#hideWithin(given) as Json;
  }

  /** Hides in all texts of a JSON value. */
  #hideWithin(value: unknown): unknown {
    if (typeof value === "string") return this.hide(value);
    if (Array.isArray(value)) return value.map((each) => this.#hideWithin(each));
    if (typeof value !== "object" || value === null) return value;
    return Object.fromEntries(
      Object.entries(value).map(([name, each]) => [this.hide(name), this.#hideWithin(each)]),
    );
  }

  slot(index: number): string {
    return `${this.#slot}${index}${this.#slot}`;
  }

  /** The text between slots, each with the number of the slot that follows; -1 after the last. */
  splitSlots(text: string): { text: string; slot: number }[] {
    const parts = text.split(new RegExp(`${this.#slot}(\\d+)${this.#slot}`));
    const out: { text: string; slot: number }[] = [];
    for (let i = 0; i < parts.length; i += 2) {
      out.push({ text: parts[i] ?? "", slot: Number(parts[i + 1] ?? -1) });
    }
    return out;
  }

  /** Plain text, each followed by the literal that was hidden after it. */
  split(text: string): { plain: string; literal?: string }[] {
    if (this.#literals.length === 0) return [{ plain: text }];
    const parts = text.split(new RegExp(`${this.#open}(\\d+)${this.#close}`));
    const out: { plain: string; literal?: string }[] = [];
    for (let i = 0; i < parts.length; i += 2) {
      const literal = this.#literals[Number(parts[i + 1] ?? Number.NaN)];
      out.push({ plain: parts[i] ?? "", ...(literal === undefined ? {} : { literal }) });
    }
    return out;
  }
}
