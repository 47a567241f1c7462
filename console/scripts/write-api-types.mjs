// Writes console/src/api/schema.d.ts: the types of the gateway's API, from its own OpenAPI document. With --check it
// writes nothing and ends with 1 if the file is not what it would write.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createApp } from "@anabranch/gateway/app.ts";
import openapiTS, { astToString } from "openapi-typescript";

const file = join(import.meta.dirname, "../src/api/schema.d.ts");
const response = await createApp().request("/openapi.json", {}, { ANABRANCH_ACCESS_LOG: "off" });
const types = `// Made by \`npm run generate\` from the gateway's routes.\n${astToString(
  await openapiTS(await response.text()),
)}`;

if (!process.argv.includes("--check")) writeFileSync(file, types);
else if (readFileSync(file, "utf8") !== types) {
  process.stderr.write("console/src/api/schema.d.ts is out of date: npm run generate\n");
  process.exit(1);
}
