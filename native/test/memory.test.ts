// What loading a model takes of memory.
import { existsSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";
import { openEngine } from "../src/index.ts";

const model = fileURLToPath(new URL("../../models/small", import.meta.url));
const maps = "/proc/self/smaps";

/** Bytes of the model's weights that are in memory as pages of their file. */
function heldOfFile(): number {
  let held = 0;
  let ours = false;
  for (const line of readFileSync(maps, "utf8").split("\n")) {
    if (/^[0-9a-f]+-[0-9a-f]+ /.test(line)) ours = line.endsWith("/small/model.safetensors");
    else if (ours) held += 1024 * Number(/^Rss:\s+(\d+)/.exec(line)?.[1] ?? 0);
  }
  return held;
}

it.skipIf(!existsSync(maps))("weights that are packed are not held as a file, too", () => {
  const size = statSync(join(model, "model.safetensors")).size;
  const engine = openEngine({ model, device: "cpu", threads: 1, kvMib: 8 }, () => {});
  const held = heldOfFile();
  engine.close();
  expect(held).toBeLessThan(size / 4);
});
