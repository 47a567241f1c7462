// An answer that is decoded anew after its worker was lost: the same request, seed included, gives the
// same lanes. What the client has already is recognised and left out; what differs from it is refused,
// since no client can take back what it was told.
import type { Event } from "@anabranch/shared/proto/anabranch/v1/lane_events_pb.js";

/** The second run does not say what the first one said. */
export class ReplayError extends Error {
  override readonly name = "ReplayError";
}

interface LaneRun {
  text: string;
  tokenIds: number[];
  logprobs: number;
}

class Lanes {
  readonly #runs = new Map<number, LaneRun>();

  of(lane: number): LaneRun {
    const known = this.#runs.get(lane);
    if (known) return known;
    const run: LaneRun = { text: "", tokenIds: [], logprobs: 0 };
    this.#runs.set(lane, run);
    return run;
  }
}

/** What can be told once only. */
function boundaryOf({ event }: Event): string | null {
  switch (event.case) {
    case "stageOpened": {
      const { stage, lanes, titles } = event.value;
      return JSON.stringify(["opened", stage, lanes, titles]);
    }
    case "branchClosed":
      return `closed ${event.value.lane}`;
    case "stageClosed":
      return `stage closed ${event.value.stage}`;
    default:
      return null;
  }
}

export class Replay {
  readonly #told = new Lanes();
  readonly #boundaries = new Set<string>();
  readonly #again = new Lanes();

  constructor(told: Iterable<Event>) {
    for (const each of told) {
      const boundary = boundaryOf(each);
      if (boundary !== null) this.#boundaries.add(boundary);
      if (each.event.case !== "delta") continue;
      const { lane, text, tokenIds, logprobs } = each.event.value;
      const run = this.#told.of(lane);
      run.text += text;
      run.tokenIds.push(...tokenIds);
      run.logprobs += logprobs.length;
    }
  }

  /** What is new in the second run's next event; null where nothing is. Throws ReplayError. */
  rest(each: Event): Event | null {
    if (each.event.case !== "delta") {
      const boundary = boundaryOf(each);
      return boundary !== null && this.#boundaries.has(boundary) ? null : each;
    }
    const { value } = each.event;
    const told = this.#told.of(value.lane);
    const again = this.#again.of(value.lane);
    const textBefore = again.text.length;
    const tokensBefore = again.tokenIds.length;
    const logprobsBefore = again.logprobs;
    again.text += value.text;
    again.tokenIds.push(...value.tokenIds);
    again.logprobs += value.logprobs.length;
    const common = Math.min(told.text.length, again.text.length);
    const sameText = told.text.slice(textBefore, common) === again.text.slice(textBefore, common);
    const sameTokens = value.tokenIds.every((id, index) => {
      const before = told.tokenIds[tokensBefore + index];
      return before === undefined || before === id;
    });
    if (!sameText || !sameTokens) {
      throw new ReplayError(`lane ${value.lane} goes on differently than it was told`);
    }
    const newFrom = (known: number, before: number) => Math.max(0, known - before);
    const text = value.text.slice(newFrom(told.text.length, textBefore));
    const firstToken = newFrom(told.tokenIds.length, tokensBefore);
    const tokenIds = value.tokenIds.slice(firstToken);
    const logprobs = value.logprobs.slice(newFrom(told.logprobs, logprobsBefore));
    if (text === "" && tokenIds.length === 0 && logprobs.length === 0) return null;
    const visibleTokens = tokenIds.length > 0 ? Math.min(value.visibleTokens, tokenIds.length) : 0;
    const delta = { ...value, text, tokenIds, logprobs, visibleTokens };
    return { ...each, event: { case: "delta", value: delta } };
  }
}
