// A file of all replies, so that an interrupted run continues without paying for them again.
import { createHash } from "node:crypto";
import {
  appendFileSync,
  closeSync,
  createReadStream,
  existsSync,
  mkdirSync,
  openSync,
  readSync,
  truncateSync,
} from "node:fs";
import { dirname } from "node:path";
import type { Message } from "./prompts.ts";

/** Identifies a reply by the model, the messages and the index of the sample. */
export function replyKey(model: string, messages: readonly Message[], sample: number): string {
  return createHash("sha256")
    .update(JSON.stringify([model, messages, sample]))
    .digest("hex");
}

/** Position of a line, in bytes. */
interface Position {
  offset: number;
  length: number;
}

/** A JSONL file of {key, reply}. Memory holds only the positions of replies. */
export class Journal {
  readonly #path: string;
  readonly #positions = new Map<string, Position>();
  #size = 0;

  private constructor(path: string) {
    this.#path = path;
  }

  /** Opens the file, or creates it. Drops an incomplete last line, which a crash may leave. */
  static async open(path: string): Promise<Journal> {
    const journal = new Journal(path);
    mkdirSync(dirname(path), { recursive: true });
    if (existsSync(path)) await journal.#index();
    return journal;
  }

  get size(): number {
    return this.#positions.size;
  }

  get(key: string): string | undefined {
    const position = this.#positions.get(key);
    if (position === undefined) return undefined;
    const bytes = Buffer.alloc(position.length);
    const file = openSync(this.#path, "r");
    readSync(file, bytes, 0, position.length, position.offset);
    closeSync(file);
    return (JSON.parse(bytes.toString("utf8")) as { reply: string }).reply;
  }

  add(key: string, reply: string): void {
    const line = Buffer.from(`${JSON.stringify({ key, reply })}\n`);
    appendFileSync(this.#path, line);
    this.#positions.set(key, { offset: this.#size, length: line.length - 1 });
    this.#size += line.length;
  }

  async #index(): Promise<void> {
    let rest: Buffer = Buffer.alloc(0);
    for await (const chunk of createReadStream(this.#path)) {
      rest = Buffer.concat([rest, chunk as Buffer]);
      for (let end = rest.indexOf(10); end !== -1; end = rest.indexOf(10)) {
        const { key } = JSON.parse(rest.subarray(0, end).toString("utf8")) as { key: string };
        this.#positions.set(key, { offset: this.#size, length: end });
        this.#size += end + 1;
        rest = rest.subarray(end + 1);
      }
    }
    truncateSync(this.#path, this.#size);
  }
}
