// npm run score: log-probabilities of tokens with a given lane structure, in one masked pass.
import { readFileSync, writeFileSync } from "node:fs";
import { dtypes, openEngine, type StructureRun } from "@anabranch/native";
import { failCommand, readCommandLine } from "@anabranch/shared/cli/command.ts";
import { oneOf, required, UsageError } from "@anabranch/shared/cli/options.ts";
import { locateModel, modelHelp } from "../model/locate.ts";

const help = `npm run score -- --model MODEL --in FILE [options]

Scores tokens with their lane structure: FILE is
  [{"serial":[ids]},{"parallel":[[ids],[ids]]},{"serial":[ids]}]
and the result has the same shape with each token's log-probability, null for the first of every run.

  --model MODEL     ${modelHelp};
                    needs no tokenizer
  --in FILE         the structure, as JSON
  --device DEVICE   auto, cpu or cuda:N (default auto: a GPU if there is one)
  --dtype TYPE      bf16, int8, int4, fp8 (GPU), fp32 (CPU), or auto: as many bits as the file
                    has (default auto)
  --resume RULE     where the trunk continues after branches: sum or max (default sum)
  --logits FILE     also write every row's logits, as safetensors "logits" [tokens, vocabulary]
  --code-path NAME  avx512bf16, avx512vnni, avx512, avx2 or plain (default: the best this CPU has)
  --json            one JSON value on stdout
`;

/** A safetensors file of one fp32 tensor. */
function safetensors(values: Float32Array, shape: [number, number]): Buffer {
  const header = JSON.stringify({
    logits: { dtype: "F32", shape, data_offsets: [0, values.byteLength] },
  });
  const padded = header.padEnd(Math.ceil(header.length / 8) * 8);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(padded.length));
  return Buffer.concat([length, Buffer.from(padded), Buffer.from(values.buffer)]);
}

const { values: args } = readCommandLine({
  ...{ name: "score", help },
  options: {
    model: { type: "string" },
    in: { type: "string" },
    device: { type: "string", default: "auto" },
    dtype: { type: "string", default: "auto" },
    resume: { type: "string", default: "sum" },
    logits: { type: "string" },
    "code-path": { type: "string" },
    json: { type: "boolean", default: false },
  },
});

function readRuns(path: string): StructureRun[] {
  try {
    return JSON.parse(readFileSync(path, "utf8")) as StructureRun[];
  } catch (error) {
    throw new UsageError(`${path}: ${error instanceof Error ? error.message : String(error)}`);
  }
}

try {
  const given = required("model", args.model);
  const dtype = oneOf("dtype", args.dtype, dtypes);
  const resume = oneOf("resume", args.resume, ["sum", "max"]);
  const runs = readRuns(required("in", args.in));
  const { path: model } = await locateModel(given);
  process.stderr.write(`loading ${model}\n`);
  const codePath = args["code-path"];
  const engine = openEngine(
    { model, dtype, device: args.device, ...(codePath ? { codePath } : {}) },
    () => {},
  );
  process.stderr.write(`scoring on ${engine.info().backend}\n`);
  const scored = await engine.score(runs, resume, { logits: args.logits !== undefined });
  if (args.logits) {
    const vocabulary = engine.info().vocabulary;
    const values = scored.logits ?? new Float32Array();
    writeFileSync(args.logits, safetensors(values, [values.length / vocabulary, vocabulary]));
    process.stderr.write(`wrote ${args.logits}\n`);
  }
  engine.close();
  process.stdout.write(`${JSON.stringify(scored.runs, null, args.json ? undefined : 2)}\n`);
} catch (error) {
  failCommand("score", error);
}
