// Replies that were paid for, so that a run that broke off goes on where it was.

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

/** What identifies a reply: the model, the messages and which of several samples it is. */
export function replyKey(model: string, messages: readonly Message[], sample: number): string {
  return createHash("sha256")
    .update(JSON.stringify([model, messages, sample]))
    .digest("hex");
}

interface Place {
  offset: number;
  length: number;
}

/** A JSONL file of {key, reply}. Only the places of replies are kept in memory. */
export class Journal {
  readonly #path: string;
  readonly #places = new Map<string, Place>();
  #size = 0;

  private constructor(path: string) {
    this.#path = path;
  }

  /** A last line that a crash cut short is dropped. */
  static async open(path: string): Promise<Journal> {
    const journal = new Journal(path);
    mkdirSync(dirname(path), { recursive: true });
    if (existsSync(path)) await journal.#index();
    return journal;
  }

  get size(): number {
    return this.#places.size;
  }

  get(key: string): string | undefined {
    const place = this.#places.get(key);
    if (place === undefined) return undefined;
    const bytes = Buffer.alloc(place.length);
    const file = openSync(this.#path, "r");
    readSync(file, bytes, 0, place.length, place.offset);
    closeSync(file);
    return (JSON.parse(bytes.toString("utf8")) as { reply: string }).reply;
  }

  add(key: string, reply: string): void {
    const line = Buffer.from(`${JSON.stringify({ key, reply })}\n`);
    appendFileSync(this.#path, line);
    this.#places.set(key, { offset: this.#size, length: line.length - 1 });
    this.#size += line.length;
  }

  async #index(): Promise<void> {
    let rest: Buffer = Buffer.alloc(0);
    for await (const chunk of createReadStream(this.#path)) {
      rest = Buffer.concat([rest, chunk as Buffer]);
      for (let end = rest.indexOf(10); end !== -1; end = rest.indexOf(10)) {
        const { key } = JSON.parse(rest.subarray(0, end).toString("utf8")) as { key: string };
        this.#places.set(key, { offset: this.#size, length: end });
        this.#size += end + 1;
        rest = rest.subarray(end + 1);
      }
    }
    truncateSync(this.#path, this.#size);
  }
}
