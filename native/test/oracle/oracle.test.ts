// The engine against Hugging Face transformers in fp32 (make_fixtures.py): serial parts, branches
// and the text after the join, under both resume rules, past the RoPE scaling thresholds.
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, it } from "vitest";
import {
  codePaths,
  type EngineEvent,
  type EngineOptions,
  openEngine,
  type Resume,
  type StructureRun,
} from "../../src/index.ts";
import { nmse, parts, readLogits } from "../logits.ts";

interface Case {
  resume: Resume;
  groups: StructureRun[];
  /** The engine's maxContext, if it is not the model's. */
  max_context?: number;
  hf_bf16_nmse: number;
}

const fixtures = fileURLToPath(new URL("fixtures", import.meta.url));
const models = readdirSync(fixtures);

const bound = (dtype: "fp32" | "bf16" | "int8", reference: Case) =>
  dtype === "fp32" ? 1e-8 : Math.max(dtype === "int8" ? 4e-3 : 1e-3, 2 * reference.hf_bf16_nmse);

const open: { close(): void }[] = [];
afterAll(() => {
  for (const engine of open) engine.close();
});

/** Decodes the case with one token per lane and step, through fork and join, and collects the logits. */
async function stepwise(options: EngineOptions, reference: Case): Promise<Float32Array> {
  const rows = new Map<string, Float32Array>();
  const { promise: ended, resolve, reject } = Promise.withResolvers<void>();
  const onEvents = (byRequest: Map<number, EngineEvent[]>) => {
    for (const event of byRequest.get(1) ?? []) {
      if (event.kind === "logits") rows.set(`${event.lane} ${event.index}`, event.logits);
      if (event.kind === "finished") resolve();
    }
  };
  const onFault = (message: string) => reject(new Error(message));
  const engine = openEngine({ ...options, validate: true }, onEvents, onFault);
  open.push(engine);
  const first = reference.groups[0];
  if (!first || !("serial" in first)) throw new Error("a case begins serially");
  engine.submit({
    id: 1,
    prompt: first.serial.slice(0, 1),
    script: reference.groups,
    resume: reference.resume,
    returnLogits: true,
  });
  await ended;
  const load = engine.load();
  expect(load.kvFree).toBe(load.kvTotal);

  const out: Float32Array[] = [];
  let trunk = -1; // the prompt's token has index 0 of what follows it
  let lanes = 0;
  for (const group of reference.groups) {
    const lists = "serial" in group ? [group.serial] : group.parallel;
    for (const list of lists) {
      if (!("serial" in group)) lanes++;
      list.forEach((_, i) => {
        const key = "serial" in group ? `0 ${trunk + 1 + i}` : `${lanes} ${i + 1}`;
        const row = rows.get(key);
        if (!row) throw new Error(`no logits for lane and index ${key}`);
        out.push(row);
      });
      if ("serial" in group) trunk += list.length;
    }
  }
  engine.close();
  const vocabulary = out[0]?.length ?? 0;
  const joined = new Float32Array(out.length * vocabulary);
  out.forEach((row, i) => {
    joined.set(row, i * vocabulary);
  });
  return joined;
}

describe.each(models)("%s", (name) => {
  const folder = `${fixtures}/${name}`;
  const cases = readdirSync(folder)
    .filter((file) => file.startsWith("case-"))
    .map((file) => file.slice(5, -5));

  describe.each(cases)("%s", (kind) => {
    const reference = JSON.parse(readFileSync(`${folder}/case-${kind}.json`, "utf8")) as Case;
    const want = readLogits(`${folder}/logits-${kind}.safetensors`);
    const rows = parts(reference.groups).at(-1)?.to ?? 0;
    const vocabulary = want.length / rows;

    const compare = (got: Float32Array, limit: number) => {
      for (const part of parts(reference.groups)) {
        const [from, to] = [part.from * vocabulary, part.to * vocabulary];
        expect(nmse(got.subarray(from, to), want.subarray(from, to)), part.name).toBeLessThan(
          limit,
        );
      }
    };

    for (const codePath of codePaths()) {
      for (const dtype of ["fp32", "bf16", "int8"] as const) {
        const options: EngineOptions = {
          model: folder,
          ...{ dtype, codePath, kvMib: 16, threads: 2, maxContext: reference.max_context ?? 0 },
        };

        it(`${codePath} ${dtype} agrees in one structured prefill`, async () => {
          const engine = openEngine(options, () => {});
          open.push(engine);
          const scored = await engine.score(reference.groups, reference.resume, { logits: true });
          const load = engine.load();
          engine.close();
          compare(scored.logits ?? new Float32Array(), bound(dtype, reference));
          expect(load.kvTotal).toBeGreaterThan(0);
        });

        // A request needs a prompt, so a case with an empty beginning is tested by prefill only.
        const first = reference.groups[0];
        if (!first || !("serial" in first) || first.serial.length === 0) continue;
        it(`${codePath} ${dtype} agrees decoding step by step, with the same bits`, async () => {
          const decoded = await stepwise(options, reference);
          compare(decoded, bound(dtype, reference));
          const engine = openEngine(options, () => {});
          open.push(engine);
          const scored = await engine.score(reference.groups, reference.resume, { logits: true });
          engine.close();
          expect(scored.logits).toEqual(decoded);
        });
      }
    }
  });
});
