// npm run score: log-probabilities of tokens with a given lane structure, in one masked pass.
import { readFileSync, writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { dtypeOf, dtypes, openEngine, type Resume, type StructureRun } from "../index.ts";

const help = `npm run score -- --model PATH --in FILE [options]

Scores tokens with their lane structure: FILE is
  [{"serial":[ids]},{"parallel":[[ids],[ids]]},{"serial":[ids]}]
and the result has the same shape with each token's log-probability, null for the first of every run.

  --model PATH      model folder in Hugging Face format (needs no tokenizer), or a .gguf file
  --in FILE         the structure, as JSON
  --device DEVICE   auto, cpu or cuda:N (default auto: a GPU if there is one)
  --dtype TYPE      bf16, int8, fp8 (GPU) or fp32 (CPU) (default bf16)
  --resume RULE     where the trunk continues after branches: sum or max (default sum)
  --logits FILE     also write every row's logits, as safetensors "logits" [tokens, vocabulary]
  --code-path NAME  avx512bf16, avx512vnni, avx512, avx2 or plain (default: the best this CPU has)
  --json            one JSON value on stdout
`;

function options() {
  try {
    return parseArgs({
      options: {
        model: { type: "string" },
        in: { type: "string" },
        device: { type: "string", default: "auto" },
        dtype: { type: "string", default: "bf16" },
        resume: { type: "string", default: "sum" },
        logits: { type: "string" },
        "code-path": { type: "string" },
        json: { type: "boolean", default: false },
        help: { type: "boolean", default: false },
      },
    }).values;
  } catch (error) {
    return fail(error instanceof Error ? error.message : String(error));
  }
}

function fail(message: string): never {
  process.stderr.write(`score: ${message}\n`);
  process.exit(2);
}

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

const args = options();
if (args.help) {
  process.stdout.write(help);
  process.exit(0);
}
if (!args.model || !args.in) fail("--model and --in are needed; see --help");
const dtype = dtypeOf(args.dtype) ?? fail(`--dtype is one of ${dtypes.join(", ")}`);
if (args.resume !== "sum" && args.resume !== "max") fail("--resume is sum or max");

let runs: StructureRun[];
try {
  runs = JSON.parse(readFileSync(args.in, "utf8")) as StructureRun[];
} catch (error) {
  fail(`${args.in}: ${error instanceof Error ? error.message : String(error)}`);
}
try {
  process.stderr.write(`loading ${args.model}\n`);
  const engine = openEngine(
    {
      model: args.model,
      device: args.device,
      dtype,
      ...(args["code-path"] ? { codePath: args["code-path"] } : {}),
    },
    () => {},
  );
  process.stderr.write(`scoring on ${engine.info().backend}\n`);
  const resume: Resume = args.resume;
  const scored = await engine.score(runs, resume, args.logits !== undefined);
  if (args.logits) {
    const vocabulary = engine.info().vocabulary;
    const values = scored.logits ?? new Float32Array();
    writeFileSync(args.logits, safetensors(values, [values.length / vocabulary, vocabulary]));
    process.stderr.write(`wrote ${args.logits}\n`);
  }
  engine.close();
  process.stdout.write(`${JSON.stringify(scored.runs, null, args.json ? undefined : 2)}\n`);
} catch (error) {
  process.stderr.write(`score: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exit(1);
}
