// Token counts of an answer that never reached its `finished` event, added up from its lane events.
import type { OutlineEnd, PlanDrop } from "@anabranch/shared/proto/anabranch/v1/answer_pb.js";
import type { Event } from "@anabranch/shared/proto/anabranch/v1/lane_events_pb.js";

interface LaneTokens {
  /** 0 for the trunk; null for lanes that the trunk does not wait for. */
  stage: number | null;
  tokens: number;
}

/** Counts so far. */
export interface Tally {
  completionTokens: number;
  visibleTokens: number;
  stages: number;
  branches: number;
  /** Known only of whole answers. */
  outlineTokens: number;
  droppedTokens: number;
  /** One of each choice whose plan was dropped. */
  droppedPlans: readonly PlanDrop[];
  /** One of each outline. */
  outlineEnds: readonly OutlineEnd[];
  /**
   * Trunk tokens plus the longest branch of every stage that the trunk waits for: the answer took at least
   * this many.
   */
  steps: number;
}

export class TokenTally {
  readonly #lanes = new Map<number, LaneTokens>([[0, { stage: 0, tokens: 0 }]]);
  #visibleTokens = 0;
  #stages = 0;
  #branches = 0;

  add({ event }: Event): void {
    if (event.case === "delta") {
      // A lane that no stage opened writes titles beside the trunk.
      const lane = this.#lanes.get(event.value.lane) ?? { stage: null, tokens: 0 };
      this.#lanes.set(event.value.lane, lane);
      lane.tokens += event.value.tokenIds.length + event.value.unnamedTokens;
      this.#visibleTokens += event.value.visibleTokens;
    } else if (event.case === "stageOpened") {
      const { lanes, outlined } = event.value;
      const stage = outlined ? null : event.value.stage;
      for (const lane of lanes) this.#lanes.set(lane, { stage, tokens: 0 });
      this.#stages++;
      this.#branches += lanes.length;
    }
  }

  get counts(): Tally {
    let completionTokens = 0;
    let steps = 0;
    const longest = new Map<number, number>();
    for (const { stage, tokens } of this.#lanes.values()) {
      completionTokens += tokens;
      if (stage === 0) steps += tokens;
      if (stage) longest.set(stage, Math.max(longest.get(stage) ?? 0, tokens));
    }
    for (const tokens of longest.values()) steps += tokens;
    return {
      completionTokens,
      visibleTokens: this.#visibleTokens,
      stages: this.#stages,
      branches: this.#branches,
      steps,
      outlineTokens: 0,
      droppedTokens: 0,
      droppedPlans: [],
      outlineEnds: [],
    };
  }
}
