// npm run dialect: puts a dialect beside a published checkpoint, in the ids of its own tokenizer.
import { existsSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { dialectNames, spellDialect } from "../model/spell.ts";
import { TextModel } from "../model/text-model.ts";

const help = `npm run dialect -- --model DIR --dialect NAME

Writes DIR/aspd.json, which makes the engine serve a checkpoint in the markers it was trained on.

  --model DIR      model folder in Hugging Face format
  --dialect NAME   one of ${dialectNames().join(", ")} (shared/dialects)
`;

function fail(message: string): never {
  process.stderr.write(`dialect: ${message}\n`);
  process.exit(2);
}

function readOptions() {
  try {
    return parseArgs({
      options: {
        model: { type: "string" },
        dialect: { type: "string" },
        help: { type: "boolean", default: false },
      },
    }).values;
  } catch (error) {
    return fail(`${error instanceof Error ? error.message : error}; see --help`);
  }
}

const args = readOptions();
if (args.help) {
  process.stdout.write(help);
  process.exit(0);
}
const folder = resolve(args.model ?? fail("--model is needed; see --help"));
const name = args.dialect ?? fail("--dialect is needed; see --help");
if (!dialectNames().includes(name)) fail(`no dialect ${name}; see --help`);
const path = join(folder, "aspd.json");
if (existsSync(path)) fail(`${path} is there already: remove it first`);
try {
  const model = new TextModel(folder);
  const file = spellDialect(name, model);
  writeFileSync(path, `${JSON.stringify(file, null, 2)}\n`);
  for (const tag of JSON.stringify(file).matchAll(/\{"ids":\[([\d,]+)\],"text":"(<[^"]+>)"\}/g)) {
    if (!tag[1]?.includes(",")) continue;
    process.stderr.write(
      `dialect: ${tag[2]} is several ordinary tokens of this tokenizer: is it the ${name} checkpoint's own?\n`,
    );
  }
} catch (error) {
  fail(error instanceof Error ? error.message : String(error));
}
process.stdout.write(`${path}\n`);
