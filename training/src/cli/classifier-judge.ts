// npm run classifier -- judge: says of each prompt of a file how parallel its answer will be.
import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { judge } from "@anabranch/shared/classifier/judge.ts";
import { type ModelFile, readModel } from "@anabranch/shared/classifier/model.ts";
import { required } from "@anabranch/shared/cli/options.ts";
import { RowWriter, readRows } from "../pipeline/jsonl.ts";
import { checkApart, fromRoot } from "./paths.ts";

export const judgeHelp = `npm run classifier -- judge --in FILE --out FILE [options]

Judges prompts as the gateway does. The input holds one JSON object per line with prompt; the output, in the
same order, {probability, speedup, mode, abstains}: the chance that a good answer is a list of independent points, the
expected speed-up in decode steps, what \`auto\` decides, and whether it abstains because it does not know the language:
then \`mode\` is parallel whatever the probability, and the model decides.

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

function modelOf(file: string) {
  const text = readFileSync(file, "utf8");
  try {
    return readModel(JSON.parse(text) as ModelFile);
  } catch {
    throw new Error(`${file} holds no weights: npm run classifier -- fit makes such a file`);
  }
}

export async function judgeCommand(argv: string[]) {
  const { values } = parseArgs({ args: argv, options });
  const input = fromRoot(required("in", values.in));
  const out = fromRoot(required("out", values.out));
  checkApart({ out }, { in: [input] });
  const model = modelOf(fromRoot(values.weights));
  const json = { prompts: 0, parallel: 0 };
  const writer = await RowWriter.open(out);
  try {
    for await (const { row, line } of readRows(input)) {
      const { prompt } = row;
      if (typeof prompt !== "string") {
        const fault = prompt === undefined ? 'no "prompt"' : '"prompt" is not a text';
        throw new Error(`${input}, line ${line}: ${fault}`);
      }
      const { probability, speedup, mode, abstains } = judge(model, prompt);
      await writer.write({ probability, speedup, mode, abstains });
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
