// What loading a model takes of memory.
import { existsSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";
import { openEngine } from "../src/index.ts";

const model = fileURLToPath(new URL("../../models/small", import.meta.url));
const status = "/proc/self/status";

/** Bytes of files that are mapped and in memory. */
const mapped = () =>
  1024 * Number(/^RssFile:\s+(\d+)/m.exec(readFileSync(status, "utf8"))?.[1] ?? 0);

it.skipIf(!existsSync(status))("weights that are packed are not held as a file, too", () => {
  const size = statSync(join(model, "model.safetensors")).size;
  const before = mapped();
  const engine = openEngine({ model, device: "cpu", threads: 1, kvMib: 8 }, () => {});
  const held = mapped() - before;
  engine.close();
  expect(held).toBeLessThan(size / 4);
});
