// JSONL files of any size, read and written in constant memory.
import { createReadStream, existsSync } from "node:fs";
import {
  type FileHandle,
  mkdir,
  open,
  readFile,
  rename,
  rm,
  stat,
  truncate,
} from "node:fs/promises";
import { dirname } from "node:path";

/**
 * Reads the objects of a JSONL file and skips blank lines. Only "\n" ends a line: node:readline would
 * also split at U+2028, which JSON strings may contain.
 * @throws Error naming the file, and the line if one is invalid
 */
export async function* readRows(
  file: string,
): AsyncGenerator<{ row: Record<string, unknown>; line: number }> {
  await refuseFolder(file);
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

/**
 * What there is under a name; undefined: nothing yet.
 * @throws Error if it is a folder
 */
async function refuseFolder(path: string) {
  const there = await stat(path).catch(() => undefined);
  if (there?.isDirectory()) throw new Error(`${path} is a folder, not a file`);
  return there;
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

/**
 * Makes a file that a run appends to ready to go on: its folder is there, and half a line, which a run that was
 * killed may have left, is gone. Returns whether it has rows.
 */
export async function reopenRows(file: string): Promise<boolean> {
  await mkdir(dirname(file), { recursive: true });
  if (!existsSync(file)) return false;
  const text = await readFile(file, "utf8");
  const whole = text.slice(0, text.lastIndexOf("\n") + 1);
  if (whole !== text) await truncate(file, Buffer.byteLength(whole));
  return whole !== "";
}

const bufferedCharacters = 1 << 16;

/**
 * Writes a JSONL file that appears under its name only when it is complete. A pipe or a device is written to as it is:
 * no file may take its place.
 */
export class RowWriter {
  readonly #path: string;
  /** Null: the rows go where they belong at once. */
  readonly #part: string | null;
  readonly #file: FileHandle;
  #buffer: string[] = [];
  #buffered = 0;

  private constructor(path: string, part: string | null, file: FileHandle) {
    this.#path = path;
    this.#part = part;
    this.#file = file;
  }

  /** @throws Error naming the file */
  static async open(path: string): Promise<RowWriter> {
    const there = await refuseFolder(path);
    const part = there === undefined || there.isFile() ? `${path}.part` : null;
    await mkdir(dirname(path), { recursive: true });
    return new RowWriter(path, part, await open(part ?? path, "w"));
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
    if (this.#part !== null) await rename(this.#part, this.#path);
  }

  /** Deletes what was written. */
  async discard(): Promise<void> {
    await this.#file.close();
    if (this.#part !== null) await rm(this.#part, { force: true });
  }

  async #flush(): Promise<void> {
    const text = this.#buffer.join("");
    this.#buffer = [];
    this.#buffered = 0;
    await this.#file.writeFile(text);
  }
}
