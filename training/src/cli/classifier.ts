// npm run classifier: the classifier that decides between serial and parallel answers.
import { evaluateCommand, evaluateHelp } from "./classifier-evaluate.ts";
import { fitCommand, fitHelp } from "./classifier-fit.ts";
import { judgeCommand, judgeHelp } from "./classifier-judge.ts";
import { labelCommand, labelHelp } from "./classifier-label.ts";
import { thresholdCommand, thresholdHelp } from "./classifier-threshold.ts";
import { runVerbs, type Verb } from "./verbs.ts";

const help = `npm run classifier -- VERB [options]

label     labels prompts with how parallel their answers are
fit       fits the weights that the gateway uses
evaluate  leaves one source out at a time, and measures beside baselines
judge     says of each prompt of a file how parallel its answer will be
threshold computes from measured answers of a model when \`auto\` is parallel

npm run classifier -- VERB --help lists the options of a verb. Paths are relative to the repository root.
`;

const verbs: Record<string, Verb> = {
  label: { help: labelHelp, run: labelCommand },
  fit: { help: fitHelp, run: fitCommand },
  evaluate: { help: evaluateHelp, run: evaluateCommand },
  judge: { help: judgeHelp, run: judgeCommand },
  threshold: { help: thresholdHelp, run: thresholdCommand },
};

if (import.meta.main) await runVerbs("classifier", help, verbs);
