// How a model begins the items of its own lists, read as one serial text: what thresholds of outlines are fitted on
// (docs/design.md, section 4.1).
import { locateModel } from "@anabranch/gpu-worker/model/locate.ts";
import { TextModel } from "@anabranch/gpu-worker/model/text-model.ts";
import type { Dtype, Engine } from "@anabranch/native";
import { cut, maxLeadTokens } from "./cut.ts";

/** Tokens of a body that say how it begins, as the engine reads them. */
const bodyTokens = 8;

/** Of the items behind the first one of each list. */
export interface ItemBeginnings {
  /** The probability of the first token of each mark. */
  marks: number[];
  /** The mean log-probability of the first tokens of each body, in nats. */
  bodies: number[];
}

interface Place {
  /** Bytes from the beginning of the answer. */
  item: number;
  body: number;
  end: number;
}

/** Where the items of an answer's lists stand, but for the first of each. */
export function itemPlaces(prompt: string, response: string): Place[] {
  const places: Place[] = [];
  let at = 0;
  for (const part of cut(response, prompt, { titles: "leads", maxTitleTokens: maxLeadTokens })
    .parts) {
    if ("serial" in part) {
      at += Buffer.byteLength(part.serial);
      continue;
    }
    for (const [i, { title, body }] of part.parallel.entries()) {
      const end = at + Buffer.byteLength(body);
      // A lead in front of its body: else the part has no title of its own.
      if (i > 0 && body.startsWith(title)) {
        places.push({ item: at, body: at + Buffer.byteLength(title), end });
      }
      at = end;
    }
  }
  return places;
}

export class BeginningsReader {
  readonly #engine: Engine;
  readonly #text: TextModel;
  readonly #bytes: readonly Uint8Array[];

  private constructor(engine: Engine, text: TextModel) {
    this.#engine = engine;
    this.#text = text;
    this.#bytes = text.tokenBytes;
  }

  /** @throws Error naming what is wrong with the model */
  static async open(
    model: string,
    options: { dtype: Dtype; threads: number },
  ): Promise<BeginningsReader> {
    const { openEngine } = await import("@anabranch/native");
    const located = await locateModel(model);
    const text = await TextModel.open(located);
    const engine = openEngine({ model: located.path, device: "cpu", ...options }, () => {});
    return new BeginningsReader(engine, text);
  }

  /** Nothing of an answer that is longer than the model's context, or whose tokens don't spell it. */
  async read(prompt: string, response: string): Promise<ItemBeginnings> {
    const out: ItemBeginnings = { marks: [], bodies: [] };
    const places = itemPlaces(prompt, response);
    if (places.length === 0) return out;
    const before = this.#text.chat([{ role: "user", content: prompt }]);
    const ids = this.#text.tokens(response);
    if (before.length + ids.length >= this.#engine.info().context) return out;
    /** Where each token begins. */
    const starts: number[] = [];
    let bytes = 0;
    for (const id of ids) {
      starts.push(bytes);
      bytes += this.#bytes[id]?.length ?? 0;
    }
    if (bytes !== Buffer.byteLength(response)) return out;
    const [run] = (await this.#engine.score([{ serial: [...before, ...ids] }], "sum")).runs;
    const scores = run && "serial" in run ? run.serial.slice(before.length) : [];
    for (const { item, body, end } of places) {
      const mark = scores[starts.indexOf(item)];
      const first = starts.findIndex((start) => start >= body);
      const last = starts.findIndex((start) => start >= end);
      const within = scores.slice(first, last < 0 ? undefined : last).slice(0, bodyTokens);
      const known = within.filter((score) => score !== null);
      // A mark that begins within a token has no probability of its own.
      if (mark === undefined || mark === null || known.length < bodyTokens) continue;
      out.marks.push(Math.exp(mark));
      out.bodies.push(known.reduce((sum, score) => sum + score, 0) / known.length);
    }
    return out;
  }

  close(): void {
    this.#engine.close();
  }
}
