// npm run models -- quantize: a copy of a model with weights of four or eight bits.
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { type QuantizedCopy, writeQuantizedCopy } from "@anabranch/native";
import { readCommandLine, type Verb } from "@anabranch/shared/cli/command.ts";
import { oneOf, UsageError } from "@anabranch/shared/cli/options.ts";
import { WEIGHTS } from "../hub/needed-files.ts";
import { progressOf } from "../hub/progress.ts";
import { sizeText } from "../hub/sizes.ts";
import { partsOf, stemOf } from "../model/gguf-parts.ts";
import { type LocatedModel, locateModel, modelHelp } from "../model/locate.ts";
import { type Json, readJson } from "../model/model-files.ts";
import { weightFiles } from "../model/tensor-types.ts";

const help = `npm run models -- quantize MODEL OUT [options]

Writes a model as the folder OUT with weights of four bits (the embedding and the head: eight). It is then
loaded without being quantized, with exactly the weights that --dtype int4 makes of MODEL while it loads.

Of a folder in Hugging Face format, OUT is one in MLX's format, with the configuration, the tokenizer, the
chat template, the sampling defaults and the dialect; mlx-lm reads it, too. Of a GGUF file, OUT holds a GGUF
file of Q4_1 and Q8_0 with the same metadata; llama.cpp reads it, too. Tensors of a GGUF file that have few
bits already are copied.

  MODEL          ${modelHelp}
  OUT            a folder that is not there yet
  --dtype TYPE   int4 or int8, which gives all layers eight bits (default int4)
  --json         one JSON value on stdout: model, path, dtype, the file's bytes, and of the weights of
                 four and of eight bits tensors, weights and error (squared, over the squared values)
`;

/** What of a folder is copied, beside its weights and its configuration. */
const COPIED =
  /^(generation_config|tokenizer|tokenizer_config|special_tokens_map|added_tokens|vocab|chat_template|aspd)\.json$|^(chat_template\.jinja|merges\.txt|tokenizer\.model)$|^(LICENSE|NOTICE)/i;

export const quantizeVerb: Verb = {
  about: "writes a copy of a model with weights of four or eight bits",
  async run(args) {
    const options = {
      json: { type: "boolean" },
      dtype: { type: "string", default: "int4" },
    } as const;
    const command = { name: "models quantize", help, options, positionals: true };
    const { values, positionals } = readCommandLine(command, args);
    const [model, out, ...more] = positionals;
    if (model === undefined || out === undefined || more.length > 0) {
      throw new UsageError("quantize takes a model and the folder to write; see --help");
    }
    const dtype = oneOf("dtype", values.dtype, ["int4", "int8"]);
    const path = resolve(out);
    if (existsSync(path)) throw new UsageError(`${path}: is there already; give another folder`);
    const located = await locateModel(model);
    const copy = await whole(path, (folder) => writeModel(located, folder, dtype));
    const { bytes, fourBit, eightBit, kept, inexactScales } = copy;
    const report = { model, path, dtype, bytes, fourBit, eightBit, kept, inexactScales };
    process.stdout.write(values.json ? `${JSON.stringify(report)}\n` : textOf(path, copy));
  },
};

/** Writes a folder under another name beside it, so that there is none that is not whole. */
async function whole<T>(path: string, write: (folder: string) => Promise<T>): Promise<T> {
  const parent = dirname(path);
  if (!existsSync(parent)) throw new UsageError(`${parent}: there is no such folder`);
  const unfinished = join(parent, `.${basename(path)}.${process.pid}.partial`);
  const remove = () => rmSync(unfinished, { recursive: true, force: true });
  const stop = () => {
    remove();
    process.exit(130);
  };
  process.once("SIGINT", stop).once("SIGTERM", stop);
  mkdirSync(unfinished);
  try {
    const result = await write(unfinished);
    renameSync(unfinished, path);
    return result;
  } catch (error) {
    remove();
    throw error;
  } finally {
    process.off("SIGINT", stop).off("SIGTERM", stop);
  }
}

async function writeModel(
  { format, path }: LocatedModel,
  out: string,
  dtype: "int4" | "int8",
): Promise<QuantizedCopy> {
  const gguf = format === "gguf";
  const file = join(out, gguf ? `${stemOf(basename(path))}-${dtype}.gguf` : WEIGHTS);
  const sources = gguf ? partsOf(path) : weightFiles(path);
  const total = sources.reduce((sum, source) => sum + statSync(source).size, 0);
  const progress = progressOf(path, total, { doing: "quantizing", done: "are quantized" });
  const copy = await writeQuantizedCopy({ model: path, file, dtype }, (done, all) =>
    progress.at(basename(path), (total * done) / all),
  );
  progress.at(basename(path), total);
  progress.end();
  const from = gguf ? dirname(path) : path;
  const isCopied = (name: string) => (gguf ? name === "aspd.json" : COPIED.test(name));
  for (const name of readdirSync(from).filter(isCopied)) {
    copyFileSync(join(from, name), join(out, name));
  }
  if (!gguf) {
    const config = { ...readJson(join(path, "config.json")), ...quantizationOf(copy, dtype) };
    writeFileSync(join(out, "config.json"), `${JSON.stringify(config, null, 2)}\n`);
  }
  return copy;
}

/** As mlx-lm writes it: the rule, and the layers that differ from it. */
function quantizationOf(
  { fourBitGroup, eightBitGroup, eightBitLayers }: QuantizedCopy,
  dtype: "int4" | "int8",
): Json {
  const eight = { group_size: eightBitGroup, bits: 8, mode: "affine" };
  const rule = {
    ...(dtype === "int4" ? { group_size: fourBitGroup, bits: 4, mode: "affine" } : eight),
    ...(dtype === "int4" && Object.fromEntries(eightBitLayers.map((name) => [name, eight]))),
  };
  return { quantization: rule, quantization_config: rule };
}

function textOf(path: string, { bytes, fourBit, eightBit, kept, inexactScales }: QuantizedCopy) {
  const lines = [`${path}: ${sizeText(bytes)}`];
  for (const [bits, part] of [
    ["four", fourBit],
    ["eight", eightBit],
  ] as const) {
    if (part.tensors === 0) continue;
    const weights = part.weights.toLocaleString("en-US");
    const error = part.error.toExponential(2);
    lines.push(`  ${part.tensors} tensors, ${weights} weights in ${bits} bits, error ${error}`);
  }
  lines.push(`  ${kept.tensors} tensors as they were`);
  if (inexactScales > 0) {
    lines.push(
      `  ${inexactScales} groups of eight bits are so small that GGUF's scales round them`,
    );
  }
  return `${lines.join("\n")}\n`;
}
