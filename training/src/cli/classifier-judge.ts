// npm run classifier -- judge: says of each prompt of a file how parallel its answer will be.
import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { judge } from "@anabranch/shared/classifier/judge.ts";
import { type ModelFile, readModel } from "@anabranch/shared/classifier/model.ts";
import { required } from "@anabranch/shared/cli/options.ts";
import { RowWriter, readRows } from "../pipeline/jsonl.ts";
import { fromRoot } from "./paths.ts";

export const judgeHelp = `npm run classifier -- judge --in FILE --out FILE [options]

Judges prompts as the gateway does. The input holds one JSON object per line with prompt; the output, in the
same order, {probability, speedup, mode}: the chance that a good answer is a list of independent points, the
expected speed-up in decode steps, and what \`auto\` decides.

  --in FILE       the prompts
  --out FILE      the result; the file appears when the run is complete
  --weights FILE  of \`npm run classifier -- fit\` (default gateway/src/classifier/weights.json)
  --json          print one JSON value to stdout: {prompts, parallel}
`;

const options = {
  in: { type: "string" },
  out: { type: "string" },
  weights: { type: "string", default: "gateway/src/classifier/weights.json" },
  json: { type: "boolean" },
} as const;

export async function judgeCommand(argv: string[]) {
  const { values } = parseArgs({ args: argv, options });
  const input = fromRoot(required("in", values.in));
  const out = fromRoot(required("out", values.out));
  const weights = readFileSync(fromRoot(values.weights), "utf8");
  const model = readModel(JSON.parse(weights) as ModelFile);
  const json = { prompts: 0, parallel: 0 };
  const writer = await RowWriter.open(out);
  try {
    for await (const { row, line } of readRows(input)) {
      if (typeof row.prompt !== "string") throw new Error(`${input}, line ${line}: no "prompt"`);
      const { probability, speedup, mode } = judge(model, row.prompt);
      await writer.write({ probability, speedup, mode });
      json.prompts++;
      if (mode === "parallel") json.parallel++;
    }
    await writer.close();
  } catch (error) {
    await writer.discard();
    throw error;
  }
  return { json, text: `${json.prompts} prompts, ${json.parallel} parallel\n` };
}
