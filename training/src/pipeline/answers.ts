// Answers of autoregressive models, as rows of a JSONL file.
import { readRows } from "./jsonl.ts";

export interface Answer {
  /** The row's own id, or else its line number. Answers of several models may share an id. */
  id: string;
  model: string;
  category: string;
  prompt: string;
  response: string;
  /** Why the model stopped, if the row says so; "length": the answer is cut. */
  finish: string | undefined;
}

/** @throws Error naming the file and the line */
export async function* readAnswers(file: string): AsyncGenerator<Answer> {
  for await (const { row, line } of readRows(file)) {
    const text = (name: string, fallback?: string): string => {
      const value = row[name] ?? fallback;
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
      finish: typeof row.finish === "string" ? row.finish : undefined,
    };
  }
}
