// npm run data: makes answers that branch from ordinary answers.
import { answerCommand, answerHelp } from "./answer.ts";
import { extractCommand, extractHelp } from "./extract.ts";
import { generateCommand, generateHelp } from "./generate.ts";
import { outlineCommand, outlineHelp } from "./outline.ts";
import { promptsCommand, promptsHelp } from "./prompts.ts";
import { sampleCommand, sampleHelp } from "./sample.ts";
import { selectCommand, selectHelp } from "./select.ts";
import { runVerbs, type Verb } from "./verbs.ts";

const help = `npm run data -- VERB [options]

generate  writes verifiable demo tasks
prompts   writes prompts of many kinds
answer    asks a served model for answers to prompts, many at once
extract   cuts real answers into serial and parallel parts, with statistics and a report
select    takes the rows to train on, and some to hold out
outline   fits the thresholds of a stock model's outlines
sample    prints a random sample of the parallel stages that extract found

npm run data -- VERB --help lists the options of a verb. Paths are relative to the repository root.
`;

const verbs: Record<string, Verb> = {
  generate: { help: generateHelp, run: generateCommand },
  prompts: { help: promptsHelp, run: promptsCommand },
  answer: { help: answerHelp, run: answerCommand },
  extract: { help: extractHelp, run: extractCommand },
  select: { help: selectHelp, run: selectCommand },
  outline: { help: outlineHelp, run: outlineCommand },
  sample: { help: sampleHelp, run: sampleCommand },
};

if (import.meta.main) await runVerbs("data", help, verbs);
