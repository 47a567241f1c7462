// Checks independence with a model: does a branch become less likely when its siblings are hidden?
import { type Dialect, readDialect } from "@anabranch/gpu-worker/model/dialect.ts";
import { TextModel } from "@anabranch/gpu-worker/model/text-model.ts";
import type { Engine, ScoredRun, StructureRun } from "@anabranch/native";
import { type Proposal, reasonOf } from "./cut.ts";
import { readTokenizer, type TextTokenizer } from "./tokenizer.ts";

export interface LikelihoodDrops {
  /** Nats per body token that each branch loses. The first has no earlier siblings and loses 0. */
  drops: number[];
  /** The largest of them. */
  drop: number;
}

/** Scores branches with and without their siblings, on the engine. */
export class LikelihoodScorer {
  readonly #engine: Engine;
  readonly #text: TextTokenizer;
  readonly #chat: TextModel;
  readonly #dialect: Dialect | undefined;

  private constructor(engine: Engine, folder: string) {
    this.#engine = engine;
    this.#text = readTokenizer(folder);
    this.#chat = new TextModel(folder);
    this.#dialect = readDialect(folder);
  }

  /** @throws Error if the engine is not built, or naming what is wrong with the model's folder */
  static async open(folder: string): Promise<LikelihoodScorer> {
    const { openEngine } = await import("@anabranch/native");
    return new LikelihoodScorer(
      openEngine({ model: folder, dtype: "bf16" }, () => {}),
      folder,
    );
  }

  /**
   * Scores each branch twice. Visible: the prompt, the text before and all earlier siblings are one serial
   * run. Hidden: the stage is forked. Undefined if the stage exceeds the engine's context.
   */
  async score(
    prompt: string,
    text: string,
    proposal: Proposal,
  ): Promise<LikelihoodDrops | undefined> {
    const before = [
      ...this.#chat.chat([{ role: "user", content: prompt }]),
      ...this.#text.encode(text.slice(0, proposal.start)),
    ];
    const bodies = proposal.branches.map(({ body }) => this.#text.encode(body));
    const titles = proposal.branches.map(({ title }) => this.#text.encode(title));
    // A model without a dialect scores plain bodies.
    const openings = titles.map((title, i) => this.#dialect?.opening(title, i + 1) ?? []);
    const plan = this.#dialect?.plan(titles) ?? [];
    const serial = [...before, ...bodies.flat()];
    const branches = bodies.map((body, i) => [...(openings[i] ?? []), ...body]);
    const runs: StructureRun[] = [{ serial: [...before, ...plan] }, { parallel: branches }];
    if (serial.length + plan.length + branches.flat().length >= this.#engine.info().context) {
      return undefined;
    }
    const [visible, hidden] = await Promise.all([
      this.#scoreRuns([{ serial }]),
      this.#scoreRuns(runs),
    ]);
    let at = before.length;
    const drops = bodies.map((body, i) => {
      const withSiblings = (visible[0] as { serial: (number | null)[] }).serial.slice(
        at,
        at + body.length,
      );
      const alone = (hidden[1] as { parallel: (number | null)[][] }).parallel[i]?.slice(
        openings[i]?.length,
      );
      at += body.length;
      return i === 0 ? 0 : meanDifference(withSiblings, alone ?? []);
    });
    return { drops, drop: Math.max(...drops) };
  }

  close(): void {
    this.#engine.close();
  }

  async #scoreRuns(runs: StructureRun[]): Promise<ScoredRun[]> {
    return (await this.#engine.score(runs, "sum")).runs;
  }
}

/** Mean of visible - hidden over the tokens for which both have a value. */
function meanDifference(visible: (number | null)[], hidden: (number | null)[]): number {
  const differences = visible.flatMap((value, i) => {
    const other = hidden[i];
    return value === null || other === null || other === undefined ? [] : [value - other];
  });
  return differences.reduce((sum, d) => sum + d, 0) / Math.max(1, differences.length);
}

/** How far the two checks for dependence agree: by words and by likelihood. */
export interface Agreement {
  threshold: number;
  judged: number;
  bothIndependent: number;
  bothDependent: number;
  /** Dependent only by words, and only by likelihood. */
  onlyLexical: number;
  onlyLikelihood: number;
  /** The first disagreements. */
  disagreements: Disagreement[];
}

export interface Disagreement {
  id: string;
  model: string;
  titles: string[];
  lexical: string | null;
  drop: number;
}

const shownDisagreements = 100;

/** Checks the proposals whose form is acceptable, and counts how far the two checks agree. */
export class LikelihoodCheck {
  readonly #scorer: LikelihoodScorer;
  readonly agreement: Agreement;

  constructor(scorer: LikelihoodScorer, threshold: number) {
    this.#scorer = scorer;
    this.agreement = {
      threshold,
      judged: 0,
      bothIndependent: 0,
      bothDependent: 0,
      onlyLexical: 0,
      onlyLikelihood: 0,
      disagreements: [],
    };
  }

  /** Marks proposals as dependent if a branch loses more than the threshold. */
  async check(
    answer: { id: string; model: string; prompt: string; response: string },
    proposals: readonly Proposal[],
  ): Promise<Proposal[]> {
    const out: Proposal[] = [];
    for (const proposal of proposals) {
      const scored =
        proposal.form === undefined
          ? await this.#scorer.score(answer.prompt, answer.response, proposal)
          : undefined;
      if (scored === undefined) {
        out.push(proposal);
        continue;
      }
      const dependent = scored.drop > this.agreement.threshold;
      this.#count(answer, proposal, scored.drop, dependent);
      const reason =
        reasonOf(proposal) ?? (dependent ? "less likely without its siblings" : undefined);
      out.push({ ...proposal, dependence: reason });
    }
    return out;
  }

  #count(
    { id, model }: { id: string; model: string },
    { dependence, branches }: Proposal,
    drop: number,
    dependent: boolean,
  ): void {
    const all = this.agreement;
    all.judged++;
    if (dependent && dependence !== undefined) all.bothDependent++;
    else if (!dependent && dependence === undefined) all.bothIndependent++;
    else {
      if (dependent) all.onlyLikelihood++;
      else all.onlyLexical++;
      if (all.disagreements.length < shownDisagreements) {
        const titles = branches.map(({ title }) => title);
        all.disagreements.push({ id, model, titles, lexical: dependence ?? null, drop });
      }
    }
  }
}
