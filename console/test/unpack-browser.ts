// `unpack-browser.ts FOLDER`: the Chromium that comes as an npm package, with the libraries and the font that a bare
// Debian lacks, unpacked into FOLDER.
import { writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const [, , folder = ""] = process.argv;
// The package unpacks into the folder for temporary files.
process.env.TMPDIR = folder;
if (tmpdir() !== folder) throw new Error(`${folder} can't be unpacked into`);
const { inflate } = await import("@sparticuz/chromium");
const packed = join(dirname(fileURLToPath(import.meta.resolve("@sparticuz/chromium"))), "../bin");
for (const name of ["chromium", "al2023.tar", "fonts.tar"]) {
  await inflate(join(packed, `${name}.br`));
}
// As packed it names folders of another system.
writeFileSync(
  join(folder, "fonts/fonts.conf"),
  `<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig>
  <dir>${join(folder, "fonts/fonts")}</dir>
  <dir>/usr/share/fonts</dir>
  <cachedir>${join(folder, "fonts/cache")}</cachedir>
</fontconfig>
`,
);
