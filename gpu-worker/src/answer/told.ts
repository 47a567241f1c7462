// An answer begun elsewhere: from its lanes' tokens alone, the events that told of them.
import {
  CloseReason,
  type Delta,
  DeltaSchema,
  type Event,
  EventSchema,
  type LanePrefix,
} from "@anabranch/shared/proto/anabranch/v1/generate_pb.js";
import { create } from "@bufbuild/protobuf";
import type { Dialect } from "../model/dialect.ts";

/** A branch is closed when its end is written, whether or not anyone was told of it. */
export const isClosed = ({ lane, tokenIds }: LanePrefix, dialect: Dialect | undefined): boolean =>
  lane !== 0 && dialect !== undefined && tokenIds.at(-1) === dialect.branchClose;

class Told {
  readonly events: Event[] = [];
  readonly #dialect: Dialect;
  readonly #lanes: readonly LanePrefix[];
  #stage = 0;

  constructor(dialect: Dialect, lanes: readonly LanePrefix[]) {
    this.#dialect = dialect;
    this.#lanes = lanes;
    const trunk = lanes.find(({ lane }) => lane === 0)?.tokenIds ?? [];
    for (let at = 0; at < trunk.length; ) at = this.#plan(trunk, this.#text(trunk, at));
  }

  /** Serial text, up to a plan or the end. */
  #text(trunk: readonly number[], from: number): number {
    const open = trunk.indexOf(this.#dialect.titleOpen, from);
    const to = open < 0 ? trunk.length : open;
    this.#write(0, trunk.slice(from, to), this.#dialect.serialVisible);
    return to;
  }

  /** A plan and the stage it opens, or a plan that was dropped: as the engine decides it. */
  #plan(trunk: readonly number[], from: number): number {
    const { titleOpen, titleClose, fork, titleTokens } = this.#dialect;
    const titles: number[][] = [];
    for (let at = from; at < trunk.length; at++) {
      const id = trunk[at] ?? -1;
      this.#write(0, [id], false);
      if (id === fork) {
        const unique = [...new Map(titles.map((title) => [title.join(), title])).values()];
        return unique.length < 2 ? at + 1 : this.#openStage(trunk, at + 1, unique);
      }
      if (id === titleOpen) titles.push([]);
      else if (id !== titleClose && (titles.at(-1)?.push(id) ?? 0) > titleTokens) return at + 1;
    }
    return trunk.length;
  }

  #openStage(trunk: readonly number[], from: number, titles: number[][]): number {
    const stage = ++this.#stage;
    const { openingBefore, openingAfter, bodyVisible, join } = this.#dialect;
    const lanes = this.#lanes
      .filter((lane) => lane.stage === stage && lane.lane !== 0)
      .sort((a, b) => a.lane - b.lane);
    if (lanes.length === 0) return from;
    this.#add({
      case: "stageOpened",
      value: {
        $typeName: "anabranch.v1.StageOpened",
        stage,
        parentLane: 0,
        lanes: lanes.map(({ lane }) => lane),
        titles: [],
        titleTokens: titles.map((ids) => ({ $typeName: "anabranch.v1.TokenIds", ids })),
      },
    });
    const closed = lanes.filter((branch, index) => {
      const { lane, tokenIds, reason } = branch;
      const opening = openingBefore.length + (titles[index]?.length ?? 0) + openingAfter.length;
      const end = isClosed(branch, this.#dialect);
      this.#write(lane, tokenIds.slice(0, opening), false);
      this.#write(lane, tokenIds.slice(opening, end ? -1 : undefined), bodyVisible);
      if (!end) return false;
      this.#write(lane, tokenIds.slice(-1), false);
      const value = { lane, reason: reason || CloseReason.MARKER };
      this.#add({
        case: "branchClosed",
        value: { $typeName: "anabranch.v1.BranchClosed", ...value },
      });
      return true;
    });
    if (closed.length < lanes.length || from === trunk.length) return from;
    this.#add({ case: "stageClosed", value: { $typeName: "anabranch.v1.StageClosed", stage } });
    this.#write(0, trunk.slice(from, from + join.length), false);
    return from + join.length;
  }

  #write(lane: number, tokenIds: readonly number[], visible: boolean): void {
    if (tokenIds.length === 0) return;
    const last = this.events.at(-1)?.event;
    const delta: Delta =
      last?.case === "delta" && last.value.lane === lane
        ? last.value
        : create(DeltaSchema, { lane });
    if (delta !== last?.value) this.#add({ case: "delta", value: delta });
    delta.tokenIds.push(...tokenIds);
    delta.visible.push(...tokenIds.map(() => visible));
    if (visible) delta.visibleTokens += tokenIds.length;
  }

  #add(event: Event["event"]): void {
    this.events.push(create(EventSchema, { event }));
  }
}

/** What an engine would have told of these lanes, in document order. */
export function toldEvents(dialect: Dialect | undefined, lanes: readonly LanePrefix[]): Event[] {
  if (dialect) return new Told(dialect, lanes).events;
  const tokenIds = lanes.find(({ lane }) => lane === 0)?.tokenIds ?? [];
  const visible = tokenIds.map(() => true);
  const value = create(DeltaSchema, { lane: 0, tokenIds, visible, visibleTokens: visible.length });
  return [create(EventSchema, { event: { case: "delta", value } })];
}
