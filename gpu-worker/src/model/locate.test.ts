import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { locateModel, locatePath } from "./locate.ts";

const root = mkdtempSync(join(tmpdir(), "anabranch-locate-"));
afterAll(() => rmSync(root, { recursive: true }));

function folder(name: string, ...files: string[]): string {
  const path = join(root, name);
  mkdirSync(path, { recursive: true });
  for (const file of files) writeFileSync(join(path, file), "");
  return path;
}

it("takes a folder with a config.json, and a GGUF file in any case", () => {
  const path = folder("plain", "config.json", "extra.gguf");
  expect(locatePath(path)).toEqual({ format: "folder", path });
  const upper = folder("upper", "MODEL.GGUF");
  expect(locatePath(join(upper, "MODEL.GGUF"))).toMatchObject({ format: "gguf" });
});

it("takes a folder for its only GGUF model, of a split one the first part", () => {
  const one = folder("one", "a.Q4_0.gguf", "mmproj-a.gguf", "README.md", "aspd.json");
  expect(locatePath(one)).toEqual({ format: "gguf", path: join(one, "a.Q4_0.gguf") });
  const parts = ["b-00002-of-00002.gguf", "b-00001-of-00002.gguf"];
  expect(locatePath(folder("split", ...parts)).path).toMatch(/b-00001-of-00002\.gguf$/);
});

it("lists the models of a folder that has several", () => {
  const path = folder("several", "a-00001-of-00002.gguf", "a-00002-of-00002.gguf", "b.gguf");
  expect(() => locatePath(path)).toThrow(
    /has 2 GGUF models; give one of\n.+a-00001-of-00002\.gguf\n.+\/b\.gguf$/,
  );
});

it.each([
  ["nowhere", /nowhere: there is no such folder or file .+hf:OWNER\/NAME/],
  ["plain/config.json/x", /there is no such folder or file/],
  ["plain/config.json", /give the folder that holds config\.json/],
  ["one/README.md", /neither a folder nor a \.gguf file/],
  [".", /neither config\.json .+ nor a \.gguf file/],
])("refuses %s with what to do", (path, message) => {
  expect(() => locatePath(join(root, path))).toThrow(message);
});

it.each(["", "  ", "hf:", "hf:name"])("refuses the name '%s'", async (name) => {
  await expect(locateModel(name)).rejects.toThrow(/empty|write hf:OWNER\/NAME/);
});
