// `npm run client`: builds @anabranch/client into client/dist as npm publishes it: one module, its types, and the
// package's own package.json, README and licences.
import { cpSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { build } from "rolldown";
import { dts } from "rolldown-plugin-dts";

const folder = join(import.meta.dirname, "..");
export const dist = join(folder, "dist");

export async function buildClient(): Promise<void> {
  rmSync(dist, { recursive: true, force: true });
  await build({
    input: join(folder, "src/index.ts"),
    platform: "neutral",
    plugins: [dts({ generator: "oxc", tsconfig: false })],
    output: { dir: dist, format: "esm", entryFileNames: "[name].js" },
  });
  const { name, version, description, license, type } = JSON.parse(
    readFileSync(join(folder, "package.json"), "utf8"),
  );
  const manifest = {
    ...{ name, version, description, license, type, engines: { node: ">=20" } },
    exports: { ".": { types: "./index.d.ts", default: "./index.js" } },
    sideEffects: false,
  };
  writeFileSync(join(dist, "package.json"), `${JSON.stringify(manifest, null, 2)}\n`);
  cpSync(join(folder, "README.md"), join(dist, "README.md"));
  cpSync(join(folder, "../LICENSE"), join(dist, "LICENSE"));
  // Its code is in the module.
  const parser = join(folder, "../node_modules/eventsource-parser/LICENSE");
  cpSync(parser, join(dist, "LICENSE.eventsource-parser"));
}

if (import.meta.main) {
  await buildClient();
  process.stdout.write(`built into ${dist}\n`);
}
