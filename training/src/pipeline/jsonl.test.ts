// Files of rows: where they are written, and what can't be one.
import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { afterAll, beforeAll, expect, it } from "vitest";
import { RowWriter, readRows } from "./jsonl.ts";

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "anabranch-rows-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

it("a file appears under its name when it is complete", async () => {
  const path = join(folder, "new", "rows.jsonl");
  const writer = await RowWriter.open(path);
  await writer.write({ a: 1 });
  expect(() => statSync(path)).toThrow("ENOENT");
  await writer.close();
  expect(readFileSync(path, "utf8")).toBe('{"a":1}\n');
});

it("a pipe gets its rows, and stays one", async () => {
  const path = join(folder, "pipe");
  execFileSync("mkfifo", [path]);
  const reader = spawn("cat", [path]);
  const read = text(reader.stdout);
  const writer = await RowWriter.open(path);
  await writer.write({ a: 1 });
  await writer.close();
  expect(await read).toBe('{"a":1}\n');
  expect(statSync(path).isFIFO()).toBe(true);
});

it("a folder is neither read nor written", async () => {
  const told = `${folder} is a folder, not a file`;
  await expect(RowWriter.open(folder)).rejects.toThrow(told);
  await expect(readRows(folder).next()).rejects.toThrow(told);
});
