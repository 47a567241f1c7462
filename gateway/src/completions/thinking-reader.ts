// The beginning of an answer in which a model thinks: `<think>…</think>`, without the space around it.
import { Thinking } from "@anabranch/shared/proto/anabranch/v1/lane_events_pb.js";

const open = "<think>";
const close = "</think>";

type Bit = { content: string } | { thinking: string };

export class ThinkingReader {
  #state: "begin" | "thinking" | "after" | "content";
  /** Within thinking: nothing but space was read. */
  #blank = true;
  #rest = "";

  constructor(thinking: Thinking.MARKED | Thinking.OPEN) {
    this.#state = thinking === Thinking.OPEN ? "thinking" : "begin";
  }

  push(text: string): Bit[] {
    this.#rest += text;
    const out: Bit[] = [];
    if (this.#state === "begin") this.#begin();
    if (this.#state === "thinking") this.#think(out);
    if (this.#state === "after") {
      this.#rest = this.#rest.trimStart();
      if (this.#rest !== "") this.#state = "content";
    }
    // An empty bit keeps the place of its token's log-probability.
    if (this.#state === "content") out.push({ content: this.#take(this.#rest.length) });
    return out;
  }

  /** The answer has ended: what was held back. */
  end(): Bit[] {
    const rest = this.#take(this.#rest.length);
    if (this.#state === "thinking") return rest.trim() === "" ? [] : [{ thinking: rest.trimEnd() }];
    return rest === "" ? [] : [{ content: rest }];
  }

  #begin(): void {
    const text = this.#rest.trimStart();
    if (text.startsWith(open)) {
      this.#rest = text.slice(open.length);
      this.#state = "thinking";
    } else if (!open.startsWith(text)) {
      this.#state = "content";
    }
  }

  #think(out: Bit[]): void {
    if (this.#blank) this.#rest = this.#rest.trimStart();
    const end = this.#rest.indexOf(close);
    const text = end < 0 ? this.#certain() : this.#rest.slice(0, end);
    const said = text.trimEnd();
    this.#blank &&= said === "";
    if (said !== "") out.push({ thinking: said });
    // The space after it is told once more follows.
    this.#take(said.length);
    if (end < 0) return;
    this.#take(end - said.length + close.length);
    this.#state = "after";
  }

  /** The text so far without what may become its end. */
  #certain(): string {
    let partial = Math.min(close.length - 1, this.#rest.length);
    while (partial > 0 && !this.#rest.endsWith(close.slice(0, partial))) partial--;
    return this.#rest.slice(0, this.#rest.length - partial);
  }

  #take(length: number): string {
    const taken = this.#rest.slice(0, length);
    this.#rest = this.#rest.slice(length);
    return taken;
  }
}
