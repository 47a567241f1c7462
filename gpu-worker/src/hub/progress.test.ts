import { afterEach, expect, it, vi } from "vitest";
import { progressOf } from "./progress.ts";

afterEach(() => {
  vi.restoreAllMocks();
  vi.unstubAllGlobals();
});

/** What a download of two files writes to standard error. */
function written(isTTY: boolean): string {
  let text = "";
  vi.spyOn(process.stderr, "write").mockImplementation((chunk) => {
    text += chunk;
    return true;
  });
  const before = process.stderr.isTTY;
  process.stderr.isTTY = isTTY;
  const progress = progressOf("hf:org/model", 3_000_000);
  progress.advance(1_000_000);
  progress.at("weights", 500_000);
  progress.note("trying again");
  progress.at("weights", 2_000_000);
  progress.end();
  process.stderr.isTTY = before;
  return text;
}

it("is plain lines without a terminal", () => {
  expect(written(false)).toBe(
    "fetching hf:org/model: 3.00 MB\n  trying again\n  3.00 MB of 3.00 MB are here\n",
  );
});

it("is a bar on a terminal, which ends full, with notes above it", () => {
  const text = written(true);
  expect(text).toContain("trying again");
  expect(text).toMatch(/100% 3\.00 MB of 3\.00 MB/);
});
