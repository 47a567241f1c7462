// A second opinion on independence: does a branch become less likely when its siblings are hidden?
import { type Dialect, readDialect } from "@anabranch/gpu-worker/model/dialect.ts";
import { TextModel } from "@anabranch/gpu-worker/model/text-model.ts";
import type { Engine, ScoredRun, StructureRun } from "@anabranch/native";
import { type Proposal, reasonOf } from "./parts.ts";
import { readTokenizer, type TextTokenizer } from "./tokens.ts";

export interface Judgement {
  /** Nats a body token that each branch loses; the first has no siblings before it and loses 0. */
  drops: number[];
  /** The largest. */
  drop: number;
}

export class LikelihoodJudge {
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

  /** @throws Error where the engine is not built, or naming what is wrong with the model's folder */
  static async open(folder: string): Promise<LikelihoodJudge> {
    const { openEngine } = await import("@anabranch/native");
    return new LikelihoodJudge(
      openEngine({ model: folder, dtype: "bf16" }, () => {}),
      folder,
    );
  }

  /**
   * Visible: the prompt, the text before and all siblings up to a branch as one serial run.
   * Invisible: the same stage as the engine forks it. Undefined where the engine can't hold it.
   */
  async judge(prompt: string, text: string, proposal: Proposal): Promise<Judgement | undefined> {
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
    const [visible, invisible] = await Promise.all([this.#score([{ serial }]), this.#score(runs)]);
    let at = before.length;
    const drops = bodies.map((body, i) => {
      const seen = (visible[0] as { serial: (number | null)[] }).serial.slice(at, at + body.length);
      const hidden = (invisible[1] as { parallel: (number | null)[][] }).parallel[i]?.slice(
        openings[i]?.length,
      );
      at += body.length;
      return i === 0 ? 0 : meanDifference(seen, hidden ?? []);
    });
    return { drops, drop: Math.max(...drops) };
  }

  close(): void {
    this.#engine.close();
  }

  async #score(runs: StructureRun[]): Promise<ScoredRun[]> {
    return (await this.#engine.score(runs, "sum")).runs;
  }
}

/** Mean of visible - invisible over the tokens that both have a value for. */
function meanDifference(visible: (number | null)[], invisible: (number | null)[]): number {
  const differences = visible.flatMap((value, i) => {
    const other = invisible[i];
    return value === null || other === null || other === undefined ? [] : [value - other];
  });
  return differences.reduce((sum, d) => sum + d, 0) / Math.max(1, differences.length);
}

/** How the two ways of telling dependence agree. */
export interface Agreement {
  threshold: number;
  judged: number;
  bothIndependent: number;
  bothDependent: number;
  /** What the words tell and the likelihood does not, and the other way round. */
  onlyLexical: number;
  onlyLikelihood: number;
  /** The first of them. */
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

/** Judges proposals whose form is right, and counts how the two opinions agree. */
export class LikelihoodCheck {
  readonly #judge: LikelihoodJudge;
  readonly agreement: Agreement;

  constructor(judge: LikelihoodJudge, threshold: number) {
    this.#judge = judge;
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

  /** Proposals as they were, but dependent where a branch loses more than the threshold. */
  async check(
    answer: { id: string; model: string; prompt: string; response: string },
    proposals: readonly Proposal[],
  ): Promise<Proposal[]> {
    const out: Proposal[] = [];
    for (const proposal of proposals) {
      const judged =
        proposal.form === undefined
          ? await this.#judge.judge(answer.prompt, answer.response, proposal)
          : undefined;
      if (judged === undefined) {
        out.push(proposal);
        continue;
      }
      const dependent = judged.drop > this.agreement.threshold;
      this.#count(answer, proposal, judged.drop, dependent);
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
