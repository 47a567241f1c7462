// An answer's text, read as what it says and as the tools that it calls.
import { hash } from "@anabranch/shared/hash.ts";
import { type BareCall, bareName, type ToolFormat } from "@anabranch/shared/tool-formats.ts";

/** One bit of what an answer says and calls. */
export type ToolBit =
  | { content: string }
  | { call: number; id: string; name: string }
  | { call: number; arguments: string };

const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/** Nine letters and digits: some models' templates take no other ids. */
const callIdOf = (answer: string, call: number): string =>
  Array.from(
    { length: 9 },
    (_, at) => alphabet[hash(`${answer} ${call} ${at}`) % alphabet.length],
  ).join("");

const leadingName = new RegExp(`^${bareName.source}*`);

/** Reads text that a grammar, or the format's own marks, hold to the format, bit by bit. */
export class ToolCallReader {
  readonly #format: ToolFormat;
  /** Of the call that is being read, if it is a bare one. */
  #bare: BareCall | undefined;
  readonly #answer: string;
  #state: "text" | "name" | "arguments" | "after" = "text";
  #rest = "";
  #begun = false;
  #calls = 0;
  /** Within arguments: open brackets, and whether the scan is in a string or after a backslash. */
  #depth = 0;
  #inString = false;
  #escaped = false;

  /** @param answer names the answer: equal names give equal ids of calls */
  constructor(format: ToolFormat, answer: string) {
    this.#format = format;
    this.#answer = answer;
  }

  /** Calls so far. */
  get calls(): number {
    return this.#calls;
  }

  push(text: string): ToolBit[] {
    this.#rest += text;
    const out: ToolBit[] = [];
    while (this.#read(out)) {}
    return out;
  }

  /** The answer has ended: what might have become a call is text. */
  end(): ToolBit[] {
    const { trigger } = this.#format;
    const rest = this.#rest;
    this.#rest = "";
    return this.#state === "text" && rest !== "" && !rest.includes(trigger)
      ? [{ content: rest }]
      : [];
  }

  /** Reads on; false once it needs more text. */
  #read(out: ToolBit[]): boolean {
    switch (this.#state) {
      case "text":
        return this.#readText(out);
      case "name":
        return this.#readName(out);
      case "arguments":
        return this.#readArguments(out);
      case "after":
        return this.#readAfter();
    }
  }

  #readText(out: ToolBit[]): boolean {
    const { trigger, first, onlyFirst } = this.#format;
    const bare = this.#begun ? "none" : this.#bareCall();
    if (bare === "open") return false;
    if (bare !== "none") {
      this.#bare = bare;
      this.#rest = this.#rest.slice(bare.open.length);
      this.#state = "name";
      return true;
    }
    const isText = onlyFirst && this.#begun;
    const at = isText ? -1 : this.#rest.indexOf(trigger);
    if (at === 0 || (at > 0 && !onlyFirst)) {
      const content = this.#rest.slice(0, at).trimEnd();
      if (content !== "") out.push({ content });
      this.#rest = this.#rest.slice(at);
      if (this.#rest.length < first.length) return false;
      this.#rest = this.#rest.slice(first.length);
      this.#state = "name";
      return true;
    }
    const held = isText ? 0 : this.#heldBack(trigger, onlyFirst);
    const content = this.#rest.slice(0, this.#rest.length - held);
    this.#rest = this.#rest.slice(content.length);
    if (content === "") return false;
    this.#begun = true;
    out.push({ content });
    return false;
  }

  /** The way in which the answer begins as a bare call; `open`: it may still become one. */
  #bareCall(): BareCall | "open" | "none" {
    const { bare = [] } = this.#format;
    for (const way of bare) {
      if (this.#rest !== "" && way.open.startsWith(this.#rest)) return "open";
      if (!this.#rest.startsWith(way.open)) continue;
      const after = this.#rest.slice(way.open.length).replace(leadingName, "");
      if (after.startsWith(way.middle)) return way;
      return way.middle.startsWith(after) ? "open" : "none";
    }
    return "none";
  }

  /** How much of the end may be the space before a call, and the beginning of its trigger. */
  #heldBack(trigger: string, onlyFirst: boolean): number {
    if (onlyFirst) return trigger.startsWith(this.#rest) ? this.#rest.length : 0;
    let partial = Math.min(trigger.length - 1, this.#rest.length);
    while (partial > 0 && !this.#rest.endsWith(trigger.slice(0, partial))) partial--;
    return this.#rest.length - this.#rest.slice(0, this.#rest.length - partial).trimEnd().length;
  }

  #readName(out: ToolBit[]): boolean {
    const { middle } = this.#bare ?? this.#format;
    const end = this.#rest.indexOf('"');
    if (end < 0 || this.#rest.length < end + middle.length) return false;
    const id = callIdOf(this.#answer, this.#calls);
    out.push({ call: this.#calls++, id, name: this.#rest.slice(0, end) });
    this.#rest = this.#rest.slice(end + middle.length);
    this.#state = "arguments";
    return true;
  }

  #readArguments(out: ToolBit[]): boolean {
    if (this.#format.free) return this.#readFree(out);
    let at = 0;
    do {
      const character = this.#rest[at];
      if (character === undefined) break;
      at++;
      this.#scan(character);
    } while (this.#depth > 0);
    if (at > 0) out.push({ call: this.#calls - 1, arguments: this.#rest.slice(0, at) });
    this.#rest = this.#rest.slice(at);
    if (at === 0 || this.#depth > 0) return false;
    this.#state = "after";
    return true;
  }

  /** Arguments up to the mark of their end. */
  #readFree(out: ToolBit[]): boolean {
    const { last } = this.#format;
    const end = this.#rest.indexOf(last);
    const text = end < 0 ? this.#rest : this.#rest.slice(0, end);
    if (text !== "") out.push({ call: this.#calls - 1, arguments: text });
    this.#rest = this.#rest.slice(text.length + (end < 0 ? 0 : last.length));
    if (end >= 0) this.#state = "text";
    return end >= 0;
  }

  #scan(character: string): void {
    if (this.#inString) {
      if (this.#escaped) this.#escaped = false;
      else if (character === "\\") this.#escaped = true;
      else if (character === '"') this.#inString = false;
    } else if (character === '"') this.#inString = true;
    else if (character === "{" || character === "[") this.#depth++;
    else if (character === "}" || character === "]") this.#depth--;
  }

  #readAfter(): boolean {
    const { next } = this.#format;
    if (this.#bare || next === undefined || !this.#rest.startsWith(next)) return false;
    this.#rest = this.#rest.slice(next.length);
    this.#state = "name";
    return true;
  }
}
