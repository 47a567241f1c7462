// Whatever a model writes under a grammar is in it: shown with the small model at high temperatures, where it is
// nearly random.
import { fileURLToPath } from "node:url";
import { type Engine, type EngineEvent, openEngine } from "@anabranch/native";
import { Ajv2020 } from "ajv/dist/2020.js";
import addFormats from "ajv-formats";
import { afterAll, describe, expect, it } from "vitest";
import { type Constraint, grammarOf } from "../src/grammar/grammars.ts";
import { TextModel } from "../src/model/text-model.ts";
import { packedTokens } from "../src/model/token-texts.ts";
import { accepts } from "./grammar-reader.ts";
import { randomOf, randomSchema, type Schema, schemas } from "./schemas.ts";

const folder = fileURLToPath(new URL("../../models/small", import.meta.url));
const model = new TextModel(folder);
const prompt = model.chat([{ role: "user", content: "Compare Norway and Peru." }]);

const answers = new Map<number, (events: EngineEvent[]) => void>();
const engine: Engine = openEngine(
  {
    ...{ model: folder, device: "cpu", kvMib: 64, threads: 1, validate: true },
    tokenBytes: packedTokens(model.tokenBytes),
  },
  (byRequest) => {
    for (const [id, events] of byRequest) answers.get(id)?.(events);
  },
);
afterAll(() => engine.close());
let nextId = 1;

interface Written {
  text: string;
  /** Whether max_tokens cut it. */
  cut: boolean;
  steps: number;
  tokens: number;
}

function write(constraint: Constraint, seed: number, temperature: number): Promise<Written> {
  const id = nextId++;
  const ids: number[] = [];
  return new Promise((resolve) => {
    answers.set(id, (events) => {
      for (const event of events) {
        if (event.kind === "token" && event.token.visible) ids.push(event.token.id);
        if (event.kind !== "finished") continue;
        answers.delete(id);
        const { steps, completionTokens: tokens } = event.usage;
        resolve({ text: model.decode(ids), cut: event.reason === 2, steps, tokens });
      }
    });
    engine.submit({
      ...{ id, prompt, seed, maxTokens: 700, sampling: { temperature } },
      grammar: grammarOf(constraint),
    });
  });
}

const ajv = new Ajv2020({ strict: false, multipleOfPrecision: 6 });
addFormats.default(ajv);

/** Writes answers to a schema. All that were not cut are valid. Returns them. */
async function hold(name: string, schema: Schema, seeds: readonly number[]): Promise<Written[]> {
  const value = JSON.stringify(schema);
  const valid = ajv.compile(schema);
  const written = await Promise.all(
    seeds.map((seed) => write({ case: "jsonSchema", value }, seed, seed % 2 ? 1 : 3)),
  );
  for (const { text, cut } of written) {
    if (cut) continue;
    const answer: unknown = JSON.parse(text);
    expect(valid(answer), `${name}: ${text} ${JSON.stringify(valid.errors)} ${value}`).toBe(true);
    expect(accepts(grammarOf({ case: "jsonSchema", value }), text), `${name}: ${text}`).toBe(true);
  }
  return written.filter(({ cut }) => !cut);
}

describe("every answer is valid", () => {
  it("for the schemas of applications", async () => {
    let whole = 0;
    for (const [name, schema] of schemas) whole += (await hold(name, schema, [1, 2])).length;
    expect(schemas.size).toBeGreaterThan(60);
    expect(whole).toBeGreaterThan(1.8 * schemas.size);
  });

  it("for random schemas", async () => {
    const random = randomOf(7);
    let whole = 0;
    for (let i = 0; i < 150; i++)
      whole += (await hold(`${i}`, randomSchema(random), [1, 2])).length;
    expect(whole).toBeGreaterThan(250);
  });

  it("for any object, expressions and choices", async () => {
    const constraints: Constraint[] = [
      { case: "jsonObject", value: true },
      { case: "regex", value: "(\\d{2}:){2}\\d{2} [ab]*ü?" },
      { case: "choice", value: { texts: ["Norway", "Norway and Peru", "Perú"] } },
    ];
    for (const constraint of constraints) {
      const written = await Promise.all([1, 2, 3, 4].map((seed) => write(constraint, seed, 2)));
      for (const { text, cut } of written) {
        expect(cut || accepts(grammarOf(constraint), text), text).toBe(true);
      }
    }
  });
});

describe("what a schema forces", () => {
  it("takes fewer steps than tokens", async () => {
    const long = { identification: { type: "boolean" }, classification: { type: "boolean" } };
    const schema = { type: "object", properties: long, required: Object.keys(long) };
    const value = JSON.stringify(schema);
    const { steps, tokens } = await write({ case: "jsonSchema", value }, 1, 0);
    expect(steps).toBeLessThan(tokens / 1.5);
  });
});
