// npm run sbom: what a release is made of, for those who must check it.
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { createReadStream, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { readCommandLine } from "../shared/src/cli/command.ts";
import { root } from "./setup.mjs";

const help = `npm run sbom [-- --out DIR]

Writes into DIR (default dist/release):
  sbom.cdx.json   every npm package with version, licence and hash, as CycloneDX 1.5; native code comes from these
                  packages and from this repository
  SHA256SUMS      of each file of the commit, for sha256sum -c
`;

const { values } = readCommandLine({
  name: "sbom",
  help,
  options: {
    out: { type: "string", default: "dist/release" },
  },
});

const read = (command, args) =>
  execFileSync(command, args, { cwd: root, encoding: "utf8", maxBuffer: 1 << 28 });

async function sha256(path) {
  const hash = createHash("sha256");
  await pipeline(createReadStream(join(root, path)), hash);
  return hash.digest("hex");
}

const folder = join(root, values.out);
mkdirSync(folder, { recursive: true });
const sbom = read("npm", ["sbom", "--sbom-format", "cyclonedx", "--package-lock-only"]);
writeFileSync(join(folder, "sbom.cdx.json"), sbom);
const paths = read("git", ["ls-files", "-z"]).split("\0").filter(Boolean);
const sums = [];
for (const path of paths) sums.push(`${await sha256(path)}  ${path}\n`);
writeFileSync(join(folder, "SHA256SUMS"), sums.join(""));
const { components } = JSON.parse(sbom);
process.stdout.write(`${values.out}: ${components.length} packages, ${paths.length} files\n`);
