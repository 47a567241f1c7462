// npm run bench -- memory: what serving a model takes of this machine's memory.
import { readFileSync, statSync } from "node:fs";
import { basename } from "node:path";
import { partsOf } from "@anabranch/gpu-worker/model/gguf-parts.ts";
import { locateModel, modelHelp } from "@anabranch/gpu-worker/model/locate.ts";
import { weightFiles } from "@anabranch/gpu-worker/model/tensor-types.ts";
import { dtypes } from "@anabranch/native";
import { integer, oneOf, required } from "@anabranch/shared/cli/options.ts";
import { EngineClient } from "./engine-client.ts";
import { round } from "./report.ts";
import { fixedPrompt } from "./shapes.ts";
import { defineSubject } from "./subject.ts";

const help = `npm run bench -- memory --model MODEL [options]

Loads a model, answers one request, and says the most memory that this took (VmHWM of Linux, less what this
process took before), beside the size of the model's files and of KV.

  --model MODEL     ${modelHelp}
  --dtype TYPE      ${dtypes.join(", ")} (default auto: as many bits as the file has)
  --kv-mib N        memory for KV (default 64)
  --prefix N        tokens of the prompt (default 512)
  --tokens N        tokens of the answer (default 64)
  --json            print one JSON value to stdout
`;

/** What the command prints with --json, in MiB. */
export interface MemoryFigures {
  model: string;
  backend: string;
  files_mib: number;
  kv_mib: number;
  /** The most while it was loaded, and until the answer was complete. */
  load_peak_mib: number;
  peak_mib: number;
  /** (The peak less KV) over the files. */
  over_files: number;
}

export const subject = defineSubject({
  help,
  options: {
    model: { type: "string" },
    dtype: { type: "string", default: "auto" },
    "kv-mib": { type: "string", default: "64" },
    prefix: { type: "string", default: "512" },
    tokens: { type: "string", default: "64" },
  },
  async measure(values): Promise<MemoryFigures> {
    const dtype = oneOf("dtype", values.dtype, dtypes);
    const kvMib = integer("kv-mib", values["kv-mib"], 1);
    const prefix = integer("prefix", values.prefix, 1);
    const maxTokens = integer("tokens", values.tokens, 1);
    const { path, format } = await locateModel(required("model", values.model));
    const files = format === "gguf" ? partsOf(path) : weightFiles(path);
    const size = files.reduce((sum, file) => sum + statSync(file).size, 0) / 2 ** 20;
    const before = peakMib();
    const client = new EngineClient({ model: path, dtype, kvMib, device: "cpu" });
    const loaded = peakMib();
    const { backend, vocabulary } = client.engine.info();
    const prompt = fixedPrompt(prefix, vocabulary);
    await client.submit({ prompt, maxTokens, ignoreEos: true }).finished;
    const peak = peakMib() - before;
    client.engine.close();
    return {
      ...{ model: basename(path), backend, kv_mib: kvMib },
      files_mib: round(size),
      load_peak_mib: round(loaded - before),
      peak_mib: round(peak),
      over_files: round((peak - kvMib) / size),
    };
  },
  table: (f) =>
    `${f.model} on ${f.backend}: files ${f.files_mib.toFixed(0)} MiB, KV ${f.kv_mib} MiB; ` +
    `loading took ${f.load_peak_mib.toFixed(0)} MiB, serving ${f.peak_mib.toFixed(0)} MiB: ` +
    `without KV ${f.over_files.toFixed(2)} times the files\n`,
});

/** The most memory that this process has had. */
function peakMib(): number {
  const [, kib] = /^VmHWM:\s+(\d+)/m.exec(readFileSync("/proc/self/status", "utf8")) ?? [];
  return Number(kib) / 1024;
}
