// npm run models -- show: what a model is, what it needs, and whether it will run here.
import { dirname } from "node:path";
import { readCommandLine, type Verb } from "@anabranch/shared/cli/command.ts";
import { integer, UsageError } from "@anabranch/shared/cli/options.ts";
import { previewModel } from "../hub/preview.ts";
import { HUB_PREFIX, parseHubReference } from "../hub/reference.ts";
import { sizeText } from "../hub/sizes.ts";
import { locateModel, modelHelp } from "../model/locate.ts";
import { type MemoryNeed, type ModelReport, reportOf } from "../model/report.ts";

const help = `npm run models -- show MODEL [options]

Says what a model is, what memory it needs, and whether it will run here. The weights are not loaded; of a model
of the hub that is not in the cache, only the headers are fetched.

  MODEL            ${modelHelp}
  --kv-tokens N    tokens of all running requests together, for the memory of K and V (default: the
                   model's context)
  --json           one JSON value on stdout

Exits with 0 if the model runs here, else with 1.
`;

export const showVerb: Verb = {
  about: "what a model is, what it needs, and whether it will run here",
  async run(args) {
    const options = { json: { type: "boolean" }, "kv-tokens": { type: "string" } } as const;
    const command = { name: "models show", help, options, positionals: true };
    const { values, positionals } = readCommandLine(command, args);
    const [model, ...more] = positionals;
    if (model === undefined || more.length > 0) {
      throw new UsageError("show takes one model; see --help");
    }
    const tokens = values["kv-tokens"];
    const kvTokens =
      tokens === undefined ? undefined : integer("kv-tokens", tokens, 1, 1_000_000_000);
    const report = model.startsWith(HUB_PREFIX)
      ? await reportOfHub(model, kvTokens)
      : { ...(await reportOf(await locateModel(model), kvTokens)), missingBytes: 0 };
    const json = JSON.stringify({ model, ...report });
    process.stdout.write(values.json ? `${json}\n` : textOf(model, report));
    if (!report.runsHere) process.exitCode = 1;
  },
};

interface Shown extends Omit<ModelReport, "path"> {
  /** null: not all of it is in the cache. */
  path: string | null;
  /** Still to be fetched from the hub. */
  missingBytes: number;
}

/** Of a model that is not in the cache, only the headers are fetched. */
async function reportOfHub(model: string, kvTokens: number | undefined): Promise<Shown> {
  const { format, path, missingBytes, close } = await previewModel(parseHubReference(model));
  try {
    const report = await reportOf({ format, path }, kvTokens);
    if (missingBytes === 0) return { ...report, missingBytes };
    const folder = format === "gguf" ? dirname(path) : path;
    const problems = report.problems.map((problem) => problem.replaceAll(folder, model));
    return { ...report, problems, path: null, missingBytes };
  } finally {
    close();
  }
}

const count = (value: number): string => value.toLocaleString("en-US");

function textOf(model: string, report: Shown): string {
  const { bitsPerWeight, chatTemplate, samplingDefaults: sampling } = report;
  const types = report.types.map(
    ({ type, tensors, bytes }) => `${type} (${tensors} tensors, ${sizeText(bytes)})`,
  );
  const rows: [string, string][] = [
    ["path", report.path ?? `not in the cache: ${sizeText(report.missingBytes)} are to be fetched`],
    ["format", report.format === "gguf" ? "GGUF" : "Hugging Face folder"],
    ["family", report.family ?? "not known"],
    ["parameters", report.parameters > 0 ? count(report.parameters) : "not known"],
    ["tensors", types.join(", ") || "not known"],
    ["bits per weight", bitsPerWeight?.toFixed(2) ?? "not known"],
    ["context", report.context === null ? "not known" : `${count(report.context)} tokens`],
    ["vocabulary", report.vocabulary === null ? "not known" : count(report.vocabulary)],
    [
      "chat template",
      chatTemplate ? `${chatTemplate.origin}: ${cut(chatTemplate.firstLine)}` : "none",
    ],
    ["dialect", report.dialect ?? "none: answers are serial"],
    [
      "sampling",
      sampling
        ? `temperature ${sampling.temperature}, top_p ${sampling.topP}, top_k ${sampling.topK}, ` +
          `min_p ${sampling.minP}, repetition_penalty ${sampling.repetitionPenalty}`
        : "not known",
    ],
  ];
  for (const { path, rank, base } of report.adapters) {
    const facts = [...(rank === null ? [] : [`rank ${rank}`]), ...(base ? [`of ${base}`] : [])];
    rows.push(["adapter", [path, ...facts].join(", ")]);
  }
  const lines = rows.map(([name, value]) => `${name.padEnd(17)}${value}`);
  return `${[model, ...lines, ...memoryLines(report), ...verdict(report)].join("\n")}\n`;
}

/** A first line may be the whole template. */
const cut = (line: string): string => (line.length > 80 ? `${line.slice(0, 79)}…` : line);

function memoryLines({ memory, kvTokens, freeBytes }: Shown): string[] {
  if (memory.length === 0 || kvTokens === null) return [];
  const row = ({ device, dtype, kvDtype, weightBytes, kvBytes, fits }: MemoryNeed) =>
    `  ${device.padEnd(5)} ${dtype.padEnd(5)} KV ${kvDtype.padEnd(5)}` +
    `${sizeText(weightBytes).padStart(9)} + ${sizeText(kvBytes).padStart(8)} = ` +
    sizeText(weightBytes + kvBytes).padStart(8) +
    (fits === null ? "" : fits ? ", fits" : ", does not fit");
  return [
    "",
    `memory for weights and ${count(kvTokens)} tokens of KV (${sizeText(freeBytes)} are free):`,
    ...memory.map(row),
  ];
}

const verdict = ({ runsHere, problems }: Shown): string[] =>
  runsHere
    ? ["", "It runs here."]
    : ["", "It does not run here:", ...problems.map((problem) => `  ${problem}`)];
