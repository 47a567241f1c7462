// npm run data -- select: takes the rows that a model shall learn from.
import { parseArgs } from "node:util";
import { decimal, integer, required, UsageError } from "@anabranch/shared/cli/options.ts";
import type { AnswerPart } from "@anabranch/shared/parts.ts";
import { RowWriter, readRows } from "../pipeline/jsonl.ts";
import { repetitionOf } from "../pipeline/repetition.ts";
import { Random } from "../random.ts";
import { checkApart, fromRoot } from "./paths.ts";

export const selectHelp = `npm run data -- select --parallel FILE [--serial FILE] --out FILE --heldout FILE [options]

Takes rows for training from the results of extract --format aspd, leaves out answers that a model should
not learn, draws the rest in random order and sets some aside for the held-out loss. Left out are answers
that repeat themselves (more than a tenth of their sentences or a fifth of their list items say what an
earlier one says), that speak of their writer as a language model, and second answers to a prompt. The two
files have no prompt in common.

  --parallel FILE     rows with parts are taken from it; may be given several times
  --serial FILE       rows without parts are taken from it; may be given several times
  --out FILE          the rows to train on
  --heldout FILE      the rows set aside
  --heldout-rows N    how many (default 30)
  --serial-share X    the share of rows without parts, at most (default 0.5)
  --max-characters N  of prompt and answer together; longer rows are left out (default 4000)
  --seed S            decides order and choice (default 1)
  --json              print one JSON value to stdout: {parallel, serial, heldout, left_out}
`;

const options = {
  parallel: { type: "string", multiple: true },
  serial: { type: "string", multiple: true },
  out: { type: "string" },
  heldout: { type: "string" },
  "heldout-rows": { type: "string", default: "30" },
  "serial-share": { type: "string", default: "0.5" },
  "max-characters": { type: "string", default: "4000" },
  seed: { type: "string", default: "1" },
  json: { type: "boolean" },
} as const;

interface Row {
  prompt: string;
  response: string;
  parts: AnswerPart[];
}

const ofItsWriter =
  /\bas an? (?:ai|artificial|language model|large language)|\bI(?:'m| am) an? (?:AI|language model)/i;

/** Shares of an answer's sentences and of its list items that may say what an earlier one says. */
const mostRepeated = { sentences: 0.1, items: 0.2 };

/** Why a model should not learn this answer, or undefined. */
function flaw({ prompt, response }: Row, maxCharacters: number): string | undefined {
  if (response.trim() === "") return "empty";
  if (prompt.length + response.length > maxCharacters) return "longer than --max-characters";
  if (ofItsWriter.test(response)) return "speaks of its writer";
  const { sentences, items } = repetitionOf(response);
  if ((sentences ?? 0) > mostRepeated.sentences) return "sentences come twice";
  if ((items ?? 0) > mostRepeated.items) return "list items come twice";
  return undefined;
}

class Selection {
  readonly #prompts = new Set<string>();
  readonly leftOut: Record<string, number> = {};
  readonly #maxCharacters: number;

  constructor(maxCharacters: number) {
    this.#maxCharacters = maxCharacters;
  }

  /** The rows of the files that have parts, or those that have none, less what should not be learnt. */
  async take(files: readonly string[], parallel: boolean): Promise<Row[]> {
    const taken: Row[] = [];
    for (const file of files) {
      for await (const { row, line } of readRows(fromRoot(file))) {
        if (!Array.isArray(row.parts)) throw new Error(`${file}, line ${line}: no "parts"`);
        const answer = row as unknown as Row;
        if (answer.parts.some((part) => "parallel" in part) !== parallel) continue;
        const why = this.#prompts.has(answer.prompt)
          ? "a second answer to a prompt"
          : flaw(answer, this.#maxCharacters);
        if (why !== undefined) this.leftOut[why] = (this.leftOut[why] ?? 0) + 1;
        else {
          this.#prompts.add(answer.prompt);
          taken.push(answer);
        }
      }
    }
    return taken;
  }
}

async function write(file: string, rows: readonly Row[]): Promise<void> {
  const writer = await RowWriter.open(file);
  for (const row of rows) await writer.write(row);
  await writer.close();
}

export async function selectCommand(argv: string[]) {
  const { values } = parseArgs({ args: argv, options });
  const { parallel: parallelFiles = [], serial: serialFiles = [] } = values;
  if (parallelFiles.length === 0) throw new UsageError("--parallel is needed; see --help");
  const out = fromRoot(required("out", values.out));
  const heldout = fromRoot(required("heldout", values.heldout));
  checkApart({ out, heldout }, { parallel: parallelFiles, serial: serialFiles });
  const share = decimal("serial-share", values["serial-share"], 0, 0.99);
  const setAside = integer("heldout-rows", values["heldout-rows"], 0);
  const random = new Random(integer("seed", values.seed, 0));
  const selection = new Selection(integer("max-characters", values["max-characters"], 1));
  const parallel = await selection.take(parallelFiles, true);
  const others = await selection.take(serialFiles, false);
  const serial = random.sample(others, Math.round((parallel.length * share) / (1 - share)));
  const rows = random.shuffle([...parallel, ...serial]);
  const left = Object.entries(selection.leftOut)
    .sort(([, a], [, b]) => b - a)
    .map(([why, n]) => `  ${n} left out: ${why}\n`)
    .join("");
  if (rows.length <= setAside) {
    const fault = `${rows.length} rows are left, and --heldout-rows takes ${setAside}`;
    throw new Error(`${fault}\n${left}`.trim());
  }
  await write(heldout, rows.slice(0, setAside));
  await write(out, rows.slice(setAside));
  return {
    json: {
      ...{ parallel: parallel.length, serial: serial.length, heldout: setAside },
      left_out: selection.leftOut,
    },
    text: `${parallel.length} rows with parts and ${serial.length} without, of which ${setAside} are set aside
${left}`,
  };
}
