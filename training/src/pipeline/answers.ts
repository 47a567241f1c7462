// Answers of autoregressive models, one JSON object a line, in constant memory.
import { createReadStream } from "node:fs";
import { type FileHandle, mkdir, open, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";

export interface Answer {
  /** The row's own, else its line number. Several models may have answered under one id. */
  id: string;
  model: string;
  category: string;
  prompt: string;
  response: string;
}

/** @throws Error naming file and line */
export async function* readAnswers(file: string): AsyncGenerator<Answer> {
  for await (const { row, line } of readRows(file)) {
    const text = (name: string, otherwise?: string): string => {
      const value = row[name] ?? otherwise;
      if (typeof value === "string") return value;
      if (typeof value === "number" && name === "id") return String(value);
      const problem = value === undefined ? `no "${name}"` : `"${name}" is not a string`;
      throw new Error(`${file}, line ${line}: ${problem}`);
    };
    yield {
      id: text("id", String(line)),
      model: text("model", "unknown"),
      category: text("category", "none"),
      prompt: text("prompt"),
      response: text("response"),
    };
  }
}

/**
 * The objects of a JSONL file; blank lines are skipped. Lines end at "\n" alone: node:readline also
 * breaks at U+2028, which JSON strings may hold.
 * @throws Error naming the file, and the line where one is wrong
 */
export async function* readRows(
  file: string,
): AsyncGenerator<{ row: Record<string, unknown>; line: number }> {
  let rest = "";
  let line = 0;
  let rows = 0;
  const parse = (text: string) => {
    line++;
    if (text.trim() === "") return [];
    rows++;
    return [{ row: parseRow(text, file, line), line }];
  };
  for await (const chunk of createReadStream(file, "utf8")) {
    const lines = (rest + chunk).split("\n");
    rest = lines.pop() ?? "";
    for (const text of lines) yield* parse(text);
  }
  yield* parse(rest);
  if (rows === 0) throw new Error(`${file} holds no rows`);
}

function parseRow(text: string, file: string, line: number): Record<string, unknown> {
  let row: unknown;
  try {
    row = JSON.parse(text.replace(/^\uFEFF/, ""));
  } catch (error) {
    throw new Error(`${file}, line ${line}: ${(error as Error).message}`);
  }
  if (typeof row !== "object" || row === null || Array.isArray(row)) {
    throw new Error(`${file}, line ${line}: not a JSON object`);
  }
  return row as Record<string, unknown>;
}

const bufferedCharacters = 1 << 16;

/** A JSONL file that appears under its name only when it is whole. */
export class RowWriter {
  readonly #path: string;
  readonly #file: FileHandle;
  #buffer: string[] = [];
  #buffered = 0;

  private constructor(path: string, file: FileHandle) {
    this.#path = path;
    this.#file = file;
  }

  /** @throws Error naming the file */
  static async open(path: string): Promise<RowWriter> {
    await mkdir(dirname(path), { recursive: true });
    return new RowWriter(path, await open(`${path}.part`, "w"));
  }

  async write(row: unknown): Promise<void> {
    const line = `${JSON.stringify(row)}\n`;
    this.#buffer.push(line);
    this.#buffered += line.length;
    if (this.#buffered >= bufferedCharacters) await this.#flush();
  }

  async close(): Promise<void> {
    await this.#flush();
    await this.#file.close();
    await rename(`${this.#path}.part`, this.#path);
  }

  /** Leaves nothing behind. */
  async discard(): Promise<void> {
    await this.#file.close();
    await rm(`${this.#path}.part`, { force: true });
  }

  async #flush(): Promise<void> {
    const text = this.#buffer.join("");
    this.#buffer = [];
    this.#buffered = 0;
    await this.#file.writeFile(text);
  }
}
