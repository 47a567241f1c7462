// The answer to declared branches: each branch is an engine request of its own, and all of them are the
// lanes of one stage. Lane 0 of branch i is lane i + 1 of the answer.
import {
  CloseReason,
  FinishReason,
  type Usage,
  UsageSchema,
} from "@anabranch/shared/proto/anabranch/v1/answer_pb.js";
import type { EngineEvent, EngineStarted } from "@anabranch/shared/proto/anabranch/v1/engine_pb.js";
import {
  BranchClosedSchema,
  DeltaSchema,
  type Event,
  EventSchema,
  FinishedSchema,
  StageClosedSchema,
  StageOpenedSchema,
  StartedSchema,
} from "@anabranch/shared/proto/anabranch/v1/lane_events_pb.js";
import { create } from "@bufbuild/protobuf";
import type { TextModel } from "../model/text-model.ts";
import { Answer } from "./answer.ts";

/** The only stage. */
const STAGE = 1;

export interface DeclaredFacts {
  seed: bigint;
  titles: readonly string[];
  stops: readonly string[];
  /** The prompts of the branches, in order. */
  prompts: readonly (readonly number[])[];
}

/** How many tokens all prompts begin with. */
export function sharedTokens([first = [], ...others]: readonly (readonly number[])[]): number {
  const parts = others.map((ids) => first.findIndex((id, i) => id !== ids[i]));
  return Math.min(first.length, ...parts.filter((at) => at >= 0));
}

/** The tokens of all prompts, those that all begin with once. */
export function tokensOnce(prompts: readonly (readonly number[])[]): number[] {
  const shared = sharedTokens(prompts);
  return [...(prompts[0] ?? []).slice(0, shared), ...prompts.flatMap((ids) => ids.slice(shared))];
}

interface Branch {
  answer: Answer;
  /** Once it has ended. */
  end: { reason: FinishReason; usage: Usage } | undefined;
}

/** What happened to an answer if any of its branches ended so, the first that applies. */
const gravest = [FinishReason.CANCELLED, FinishReason.DEADLINE, FinishReason.LENGTH];

export class DeclaredAnswer {
  readonly #facts: DeclaredFacts;
  readonly #promptTokenIds: number[];
  readonly #shared: number;
  readonly #branches: readonly Branch[];
  #started = false;

  constructor(model: TextModel, facts: DeclaredFacts) {
    this.#facts = facts;
    this.#promptTokenIds = tokensOnce(facts.prompts);
    this.#shared = sharedTokens(facts.prompts);
    this.#branches = facts.prompts.map(() => ({
      answer: new Answer(model, facts.stops, { seed: facts.seed, promptTokenIds: [] }),
      end: undefined,
    }));
  }

  /** A stop string has ended the branch: the engine can stop it. */
  isStopped(index: number): boolean {
    return this.#branches[index]?.answer.stopped ?? false;
  }

  /** The events of one engine message about a branch, as the worker sends them. */
  events(index: number, engineEvents: readonly EngineEvent[]): Event[] {
    const branch = this.#branches[index];
    if (!branch) throw new Error(`the engine answers branch ${index}, which was not asked for`);
    const { answer } = branch;
    const lane = index + 1;
    const out: Event[] = [];
    for (const { event } of engineEvents) {
      // The first branch that starts begins the answer.
      if (event.case === "started" && !this.#started) this.#open(event.value, out);
    }
    for (const { event } of answer.events(engineEvents)) {
      if (event.case === "delta") {
        add(out, { case: "delta", value: create(DeltaSchema, { ...event.value, lane }) });
      } else if (event.case === "finished") {
        const { reason, usage = create(UsageSchema) } = event.value;
        branch.end = { reason, usage };
        const value = create(BranchClosedSchema, {
          lane,
          reason: closeReasonOf(reason, answer.stopped),
        });
        add(out, { case: "branchClosed", value });
        this.#closeIfWhole(out);
      }
    }
    return out;
  }

  #open({ cachedTokens, modelDigest, backend }: EngineStarted, out: Event[]): void {
    this.#started = true;
    const { seed, titles } = this.#facts;
    const started = create(StartedSchema, {
      ...{ seed, modelDigest, backend },
      promptTokens: this.#promptTokenIds.length,
      // Of the other branches it is known later.
      cachedTokens: Math.min(cachedTokens, this.#shared),
      promptTokenIds: this.#promptTokenIds,
    });
    add(out, { case: "started", value: started });
    const lanes = titles.map((_, index) => index + 1);
    const opened = { stage: STAGE, lanes, titles: [...titles], declared: true };
    add(out, { case: "stageOpened", value: create(StageOpenedSchema, opened) });
  }

  #closeIfWhole(out: Event[]): void {
    const ends = this.#branches.flatMap(({ end }) => end ?? []);
    if (ends.length < this.#branches.length) return;
    const reason =
      gravest.find((each) => ends.some((end) => end.reason === each)) ?? FinishReason.STOP;
    add(out, { case: "stageClosed", value: create(StageClosedSchema, { stage: STAGE }) });
    const usage = this.#usageOf(ends.map((end) => end.usage));
    add(out, { case: "finished", value: create(FinishedSchema, { reason, usage }) });
  }

  #usageOf(usages: readonly Usage[]): Usage {
    const sum = (of: (usage: Usage) => number) => usages.reduce((all, each) => all + of(each), 0);
    const cached = usages.map(({ cachedTokens }) => cachedTokens);
    return create(UsageSchema, {
      promptTokens: this.#promptTokenIds.length,
      completionTokens: sum(({ completionTokens }) => completionTokens),
      visibleTokens: sum(({ visibleTokens }) => visibleTokens),
      // One branch prefilled what all share, if an earlier request had not: the one with the fewest.
      cachedTokens:
        Math.min(this.#shared, ...cached) +
        cached.reduce((all, each) => all + Math.max(0, each - this.#shared), 0),
      // Side by side: as many as the longest branch takes.
      steps: Math.max(...usages.map(({ steps }) => steps)),
      stages: 1,
      branches: this.#branches.length,
    });
  }
}

function closeReasonOf(reason: FinishReason, stopped: boolean): CloseReason {
  if (stopped) return CloseReason.STOP;
  return reason === FinishReason.STOP ? CloseReason.EOS : CloseReason.CAP;
}

function add(out: Event[], event: Event["event"]): void {
  out.push(create(EventSchema, { event }));
}
