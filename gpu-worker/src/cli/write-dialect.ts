// npm run dialect: puts a dialect beside a published checkpoint, in the ids of its own tokenizer.
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { failCommand, readCommandLine } from "@anabranch/shared/cli/command.ts";
import { oneOf, required, UsageError } from "@anabranch/shared/cli/options.ts";
import { HUB_PREFIX } from "../hub/reference.ts";
import { locatePath } from "../model/locate.ts";
import { dialectNames, spellDialect } from "../model/spell.ts";
import { TextModel } from "../model/text-model.ts";

const help = `npm run dialect -- --model DIR --dialect NAME

Writes DIR/aspd.json, which makes the engine serve a checkpoint in the markers it was trained on.

  --model DIR      model folder in Hugging Face format
  --dialect NAME   one of ${dialectNames().join(", ")} (shared/dialects)
`;

const { values: args } = readCommandLine({
  ...{ name: "dialect", help },
  options: { model: { type: "string" }, dialect: { type: "string" } },
});
try {
  const given = required("model", args.model);
  const name = oneOf("dialect", required("dialect", args.dialect), dialectNames());
  if (given.startsWith(HUB_PREFIX)) {
    throw new UsageError(
      `${given}: a dialect is written into a folder of your own; copy the model from the cache first`,
    );
  }
  const { format, path: folder } = locatePath(given);
  if (format === "gguf") throw new UsageError(`${folder}: is no model folder`);
  const path = join(folder, "aspd.json");
  if (existsSync(path)) throw new UsageError(`${path} is there already: remove it first`);
  const model = new TextModel(folder);
  const file = spellDialect(name, model);
  writeFileSync(path, `${JSON.stringify(file, null, 2)}\n`);
  for (const tag of JSON.stringify(file).matchAll(/\{"ids":\[([\d,]+)\],"text":"(<[^"]+>)"\}/g)) {
    if (!tag[1]?.includes(",")) continue;
    process.stderr.write(
      `dialect: ${tag[2]} is several ordinary tokens of this tokenizer: is it the ${name} checkpoint's own?\n`,
    );
  }
  process.stdout.write(`${path}\n`);
} catch (error) {
  failCommand("dialect", error);
}
