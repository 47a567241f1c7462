// npm run data -- outline: the thresholds of a model's outlines, fitted on its own lists.
import { availableParallelism } from "node:os";
import { parseArgs } from "node:util";
import { decimal, integer, oneOf, required } from "@anabranch/shared/cli/options.ts";
import { RunProgress } from "@anabranch/shared/cli/run-progress.ts";
import { type Answer, readAnswers } from "../pipeline/answers.ts";
import { BeginningsReader } from "../pipeline/item-beginnings.ts";
import { fromRoot } from "./paths.ts";

export const outlineHelp = `npm run data -- outline --in FILE --model MODEL [options]

Fits the thresholds of a stock model's outlines. An item that was written beside its siblings joins an answer if the model,
having read those before it, would have begun it (probability of its mark), and begun it so (log-probability of its first
tokens). How likely a model finds what it writes itself differs from model to model, and grows with the temperature. So the
thresholds are what --keep of the items reach that the model wrote serially, in lists that could have been outlined:

  npm run data -- answer --in PROMPTS --out FILE --url URL --model NAME --mode serial --temperature T

  --in FILE        the model's own serial answers, at the temperature at which it is served
  --model MODEL    a folder in Hugging Face format, a .gguf file, or hf:OWNER/NAME
  --keep X         the share of items whose beginnings both thresholds let pass (default 0.98)
  --limit N        answers that are read, at most (default 1000)
  --dtype TYPE     of the weights, as of a worker (default auto)
  --threads N      engine threads (default: all cores)
  --json           print one JSON value to stdout: {answers, items, continue, surprise, marks, bodies}
`;

const options = {
  in: { type: "string" },
  model: { type: "string" },
  keep: { type: "string", default: "0.98" },
  limit: { type: "string", default: "1000" },
  dtype: { type: "string", default: "auto" },
  threads: { type: "string", default: String(availableParallelism()) },
  json: { type: "boolean" },
} as const;

/** Fewer items say nothing of the few that are unlike them. */
const fewestItems = 50;
const shares = [0.01, 0.02, 0.05, 0.1, 0.25, 0.5];

/** The value below which a share of them lies. */
function below(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? Number.NaN;
}

const table = (values: readonly number[]): Record<string, number> =>
  Object.fromEntries(
    shares.map((share) => [String(share), Number(below(values, share).toFixed(3))]),
  );

async function firstAnswers(file: string, limit: number): Promise<Answer[]> {
  const out: Answer[] = [];
  for await (const answer of readAnswers(file)) {
    if (out.length === limit) break;
    out.push(answer);
  }
  return out;
}

export async function outlineCommand(argv: string[]) {
  const { values } = parseArgs({ args: argv, options });
  const model = required("model", values.model);
  const input = fromRoot(required("in", values.in));
  const keep = decimal("keep", values.keep, 0.5, 1);
  const limit = integer("limit", values.limit, 1);
  const { dtypes } = await import("@anabranch/native");
  const dtype = oneOf("dtype", values.dtype, dtypes);
  const threads = integer("threads", values.threads, 1, 1024);
  const read = await firstAnswers(input, limit);
  const reader = await BeginningsReader.open(model, { dtype, threads });
  const progress = new RunProgress(read.length, "answers");
  const marks: number[] = [];
  const bodies: number[] = [];
  try {
    for (const { prompt, response } of read) {
      const found = await reader.read(prompt, response);
      marks.push(...found.marks);
      bodies.push(...found.bodies);
      progress.step(`, ${marks.length} items`);
    }
  } finally {
    reader.close();
  }
  const items = marks.length;
  if (items < fewestItems) {
    throw new Error(`${values.in} has ${items} items of such lists; ${fewestItems} are needed`);
  }
  // Half of what is refused is refused for each reason.
  const share = (1 - keep) / 2;
  const [begun, so] = [below(marks, share), below(bodies, share)];
  const fitted = { continue: Number(begun.toFixed(3)), surprise: Number((-so).toFixed(2)) };
  return {
    json: {
      answers: read.length,
      items,
      ...fitted,
      marks: table(marks),
      bodies: table(bodies),
    },
    text: `${items} items in lists of ${read.length} answers
--outline-continue ${fitted.continue} --outline-surprise ${fitted.surprise}
`,
  };
}
