// What npm would publish.
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { gzipSync } from "node:zlib";
import { rolldown } from "rolldown";
import { describe, expect, inject, it } from "vitest";
import { dist } from "../scripts/build.ts";

const root = join(import.meta.dirname, "../..");
/** How each runtime runs a program that may reach the network; Deno and Bun where they are installed. */
const runtimes: [name: string, command: string, ...args: string[]][] = [
  ["Node", process.execPath],
  ["Deno", process.env.ANABRANCH_DENO ?? "deno", "run", "--allow-net", "--allow-read"],
  ["Bun", process.env.ANABRANCH_BUN ?? "bun", "run"],
];
const isThere = (command: string) => spawnSync(command, ["--version"]).status === 0;

/** Bytes, minified and gzipped: docs/client.md says so. */
const mostBytes = 8_000;

describe("the package", () => {
  it("is one module, its types, a README and the licences, and needs no other package", () => {
    const output = execFileSync("npm", ["pack", "--dry-run", "--json"], {
      ...{ cwd: dist, encoding: "utf8" },
    });
    const [packed] = JSON.parse(output) as { name: string; files: { path: string }[] }[];
    expect(packed?.name).toBe("@anabranch/client");
    expect(packed?.files.map(({ path }) => path).sort()).toEqual([
      ...["LICENSE", "LICENSE.eventsource-parser", "README.md"],
      ...["index.d.ts", "index.js", "package.json"],
    ]);
    const manifest = JSON.parse(readFileSync(join(dist, "package.json"), "utf8"));
    expect(Object.keys(manifest).filter((key) => /dependencies/i.test(key))).toEqual([]);
    const text = readFileSync(join(dist, "index.js"), "utf8");
    expect(text).not.toMatch(/^import |\bimport\(|\brequire\(|\bprocess\.|\bBuffer\b/m);
  });

  it("is at most 8 kB in a bundle", async () => {
    const bundle = await rolldown({ input: join(dist, "index.js") });
    const { output } = await bundle.generate({ format: "esm", minify: true });
    expect(gzipSync(output[0].code, { level: 9 }).byteLength).toBeLessThanOrEqual(mostBytes);
  });

  describe.each(runtimes)("in %s", (_, command, ...args) => {
    it.skipIf(!isThere(command))("answers whole and in a stream, is left, and refuses", () => {
      const program = join(import.meta.dirname, "runtime-program.mjs");
      const module = pathToFileURL(join(dist, "index.js")).href;
      const given = [module, inject("gateway"), inject("keys")[0] ?? "", "anabranch-small"];
      const { stdout, stderr } = spawnSync(command, [...args, program, ...given], {
        ...{ encoding: "utf8", timeout: 50_000 },
      });
      expect(JSON.parse(stdout || JSON.stringify({ stderr }))).toEqual({
        ...{ branches: 3, same: true, refused: true },
        kinds: ["branch_closed", "finished", "stage_closed", "stage_opened", "text"],
      });
    });
  });

  it("has types that a strict program without ours compiles with", () => {
    const folder = mkdtempSync(join(tmpdir(), "anabranch-client-"));
    try {
      writeFileSync(
        join(folder, "program.ts"),
        `import { Anabranch } from "@anabranch/client";
         const client = new Anabranch({ baseURL: "", apiKey: "" });
         const { price } = await client.ask({ model: "", messages: [], branches: { price: "?" } });
         price.text.length;
         // @ts-expect-error: nobody asked for it
         (await client.ask({ model: "", messages: [], branches: { price: "?" } })).term;
         for await (const event of client.stream({ model: "", messages: [] })) {
           if (event.kind === "text") event.run.title?.length;
         }
         // @ts-expect-error: no such mode
         await client.answer({ model: "", messages: [], anabranch: { mode: "fast" } });`,
      );
      const options = {
        ...{ strict: true, noEmit: true, module: "esnext", moduleResolution: "bundler" },
        ...{ target: "es2022", lib: ["es2022", "dom", "dom.asynciterable"], types: [] },
        paths: { "@anabranch/client": [join(dist, "index.d.ts")] },
      };
      const tsconfig = { compilerOptions: options, files: ["program.ts"] };
      writeFileSync(join(folder, "tsconfig.json"), JSON.stringify(tsconfig));
      const tsc = join(root, "node_modules/.bin/tsc");
      const { stdout } = spawnSync(tsc, ["-p", folder], { encoding: "utf8" });
      expect(stdout).toBe("");
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
