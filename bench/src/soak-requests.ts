// The random requests of the soak, and an engine that answers each of them alone.
import type { TextModel } from "@anabranch/gpu-worker/model/text-model.ts";
import type { EngineRequest, StructureRun } from "@anabranch/native";
import type { Random } from "@anabranch/training/random.ts";
import { makeTask } from "@anabranch/training/tasks/catalogue.ts";
import { EngineClient, tokenCount } from "./engine-client.ts";
import { serialOf, Transcript } from "./transcript.ts";

/** The fields of a request that decide the tokens of its answer. */
export type SoakRequest = Omit<
  EngineRequest,
  "id" | "priority" | "cacheSalt" | "deadlineMs" | "sequential" | "returnLogits" | "log"
>;

export type Kind = "greedy" | "seeded" | "script" | "second_turn";

/** Answers each distinct request alone, once, without a prefix cache in common with the soak. */
export class ReferenceEngine {
  readonly #client: EngineClient;
  readonly #opener: number | undefined;
  readonly #answers = new Map<string, Promise<Transcript>>();

  constructor(model: string, opener?: number) {
    const limits = { threads: 1, kvMib: 64, maxRunning: 1, maxQueue: 1 << 20 };
    this.#client = new EngineClient({ model, ...limits });
    this.#opener = opener;
  }

  answer(request: SoakRequest): Promise<Transcript> {
    const key = JSON.stringify(request);
    const known = this.#answers.get(key);
    if (known) return known;
    const transcript = new Transcript(request.prompt, this.#opener);
    const { finished } = this.#client.submit(request, (events) => transcript.record(events));
    const answer = finished.then(() => transcript);
    this.#answers.set(key, answer);
    return answer;
  }
  /** Distinct requests so far. */
  get distinct(): number {
    return this.#answers.size;
  }
  close(): void {
    this.#client.engine.close();
  }
}

/**
 * Draws requests of all kinds, the same for the same seed. Only a few prompts are in use, so that
 * prefixes recur.
 */
export class RequestGenerator {
  readonly #random: Random;
  readonly #model: TextModel;
  readonly #reference: ReferenceEngine;
  readonly #maxTokens: number;
  readonly #maxContext: number;

  /** `maxContext`: tokens that prompt and answer of one request may take together. */
  constructor(
    random: Random,
    model: TextModel,
    reference: ReferenceEngine,
    maxTokens: number,
    maxContext: number,
  ) {
    this.#random = random;
    this.#model = model;
    this.#reference = reference;
    this.#maxTokens = maxTokens;
    this.#maxContext = maxContext;
  }

  /** The requests of one client call: several if the call asks for several choices. */
  async next(): Promise<{ kind: Kind; requests: SoakRequest[] }> {
    const random = this.#random;
    const kind = random.pick<Kind>([
      "greedy",
      "greedy",
      "seeded",
      "seeded",
      "script",
      "second_turn",
    ]);
    const prompt = this.#chatPrompt();
    if (kind === "script") return { kind, requests: [this.#scripted(prompt)] };
    const base: SoakRequest = {
      prompt,
      parallel: random.chance(0.8),
      maxTokens: random.pick([8, 40, this.#maxTokens, this.#maxTokens]),
      maxBranches: random.pick([0, 0, 0, 2, 3]),
      sampling: random.chance(0.2) ? { logprobs: true, topLogprobs: 2 } : {},
    };
    if (kind === "greedy") return { kind, requests: [base] };
    if (kind === "seeded") return { kind, requests: this.#seeded(base) };
    return { kind, requests: [await this.#secondTurn(base)] };
  }

  #chatPrompt(): number[] {
    const content = makeTask(5, this.#random.int(0, 23), "heldout").prompt;
    return this.#model.chat([{ role: "user", content }]);
  }

  #seeded(base: SoakRequest): SoakRequest[] {
    const random = this.#random;
    const sampling = {
      ...base.sampling,
      temperature: random.pick([0.7, 1, 1.3]),
      topP: random.pick([1, 0.9]),
      topK: random.pick([0, 40]),
      frequencyPenalty: random.pick([0, 0, 0.5]),
    };
    const seed = random.int(1, 3);
    const choices = random.chance(0.3) ? random.int(2, 4) : 1;
    return Array.from({ length: choices }, (_, choice) => ({ ...base, sampling, seed, choice }));
  }

  /** A second question after the structured answer to a first; alone if both turns do not fit. */
  async #secondTurn(base: SoakRequest): Promise<SoakRequest> {
    const first: SoakRequest = { ...base, sampling: {}, maxTokens: this.#maxTokens };
    const { runs } = await this.#reference.answer(first);
    const last = serialOf(runs.at(-1));
    const prompt = [...runs.slice(0, -1), { serial: [...last, ...this.#chatPrompt()] }];
    const fits = tokenCount(prompt) + this.#maxTokens <= this.#maxContext;
    return fits ? { ...base, prompt } : base;
  }

  #scripted(prompt: readonly number[]): SoakRequest {
    const random = this.#random;
    const tokens = (n: number) => Array.from({ length: n }, () => random.pick(prompt));
    const script: StructureRun[] = [{ serial: [...prompt, ...tokens(random.int(0, 20))] }];
    for (let stage = random.int(0, 2); stage > 0; stage--) {
      const branches = random.int(2, 5);
      script.push(
        { serial: tokens(random.int(1, 8)) },
        { parallel: Array.from({ length: branches }, () => tokens(random.int(1, 24))) },
        { serial: tokens(random.int(1, 12)) },
      );
    }
    return { prompt, script };
  }
}
