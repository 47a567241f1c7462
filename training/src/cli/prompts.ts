// npm run data -- prompts: writes prompts for which a model can be asked for answers.
import { parseArgs } from "node:util";
import { decimal, integer, required } from "@anabranch/shared/cli/options.ts";
import { RowWriter } from "../pipeline/jsonl.ts";
import { topicPrompts } from "../topics/prompts.ts";
import { fromRoot } from "./paths.ts";

export const promptsHelp = `npm run data -- prompts --n N --out FILE [options]

Writes up to N different prompts, one JSON object per line: {id, category, prompt}. Category "points": a
good answer is several independent points. Category "one": it is one text, a fact, code or a calculation.

  --n N         number of prompts; there are several thousand
  --out FILE    the result
  --points X    share of prompts that invite points, 0 to 1 (default 0.7)
  --seed S      decides the prompts (default 1)
  --json        print one JSON value to stdout: {prompts, points}
`;

const options = {
  n: { type: "string" },
  out: { type: "string" },
  points: { type: "string", default: "0.7" },
  seed: { type: "string", default: "1" },
  json: { type: "boolean" },
} as const;

export async function promptsCommand(argv: string[]) {
  const { values } = parseArgs({ args: argv, options });
  const n = integer("n", required("n", values.n), 1, 100_000);
  const share = decimal("points", values.points, 0, 1);
  const rows = topicPrompts(n, integer("seed", values.seed, 0), share);
  const writer = await RowWriter.open(fromRoot(required("out", values.out)));
  for (const row of rows) await writer.write(row);
  await writer.close();
  const points = rows.filter(({ category }) => category === "points").length;
  return {
    json: { prompts: rows.length, points },
    text: `${rows.length} prompts, ${points} of which invite points\n`,
  };
}
