// What the browser loads, and what the console believes of the API.
import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { describe, expect, it } from "vitest";

const folder = join(import.meta.dirname, "..");
const mostBytes = 150_000;

describe("the console", () => {
  it("is at most 150 kB to load, and names no other site", () => {
    const dist = join(folder, "dist");
    const files = readdirSync(dist, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile() && !entry.name.startsWith("."))
      .map(({ parentPath, name }) => readFileSync(join(parentPath, name)));
    expect(files.length).toBeGreaterThan(3);
    const bytes = files.reduce((sum, file) => sum + gzipSync(file).byteLength, 0);
    expect(bytes).toBeLessThanOrEqual(mostBytes);
    const page = readFileSync(join(dist, "index.html"), "utf8");
    expect(page).not.toMatch(/https?:|<style|<script>| style=/);
  });

  it("has the types of the API as it is", () => {
    const script = join(folder, "scripts/write-api-types.mjs");
    const { stderr, status } = spawnSync(process.execPath, [script, "--check"], {
      encoding: "utf8",
    });
    expect(stderr).toBe("");
    expect(status).toBe(0);
  });
});
