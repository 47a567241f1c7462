// An answer that is decoded again after its worker was lost: the same request, with its seed, gives the
// same lanes. What the client already has is recognised and skipped. A difference is an error, because
// text that was sent can't be taken back.
import type { Event } from "@anabranch/shared/proto/anabranch/v1/lane_events_pb.js";

/** The second run differs from the first. */
export class ReplayError extends Error {
  override readonly name = "ReplayError";
}

interface LaneSoFar {
  text: string;
  tokenIds: number[];
  logprobs: number;
}

class Lanes {
  readonly #runs = new Map<number, LaneSoFar>();

  of(lane: number): LaneSoFar {
    const known = this.#runs.get(lane);
    if (known) return known;
    const run: LaneSoFar = { text: "", tokenIds: [], logprobs: 0 };
    this.#runs.set(lane, run);
    return run;
  }
}

/** An event that must be sent only once, as a key. */
function onceKeyOf({ event }: Event): string | null {
  switch (event.case) {
    case "stageOpened": {
      const { stage, lanes, titles } = event.value;
      return JSON.stringify(["opened", stage, lanes, titles]);
    }
    case "echo":
      return "echo";
    case "branchAccepted":
      return `accepted ${event.value.lane}`;
    case "branchClosed":
      return `closed ${event.value.lane} ${event.value.reason}`;
    case "stageClosed":
      return `stage closed ${event.value.stage}`;
    default:
      return null;
  }
}

export class Replay {
  readonly #sent = new Lanes();
  readonly #sentEvents = new Set<string>();
  readonly #again = new Lanes();

  constructor(sent: Iterable<Event>) {
    for (const each of sent) {
      const key = onceKeyOf(each);
      if (key !== null) this.#sentEvents.add(key);
      if (each.event.case !== "delta") continue;
      const { lane, text, tokenIds, logprobs } = each.event.value;
      const run = this.#sent.of(lane);
      run.text += text;
      run.tokenIds.push(...tokenIds);
      run.logprobs += logprobs.length;
    }
  }

  /** The new part of the second run's next event; null if there is none. Throws ReplayError. */
  rest(each: Event): Event | null {
    if (each.event.case !== "delta") {
      const key = onceKeyOf(each);
      return key !== null && this.#sentEvents.has(key) ? null : each;
    }
    const { value } = each.event;
    const sent = this.#sent.of(value.lane);
    const again = this.#again.of(value.lane);
    const textBefore = again.text.length;
    const tokensBefore = again.tokenIds.length;
    const logprobsBefore = again.logprobs;
    again.text += value.text;
    again.tokenIds.push(...value.tokenIds);
    again.logprobs += value.logprobs.length;
    const common = Math.min(sent.text.length, again.text.length);
    const sameText = sent.text.slice(textBefore, common) === again.text.slice(textBefore, common);
    const sameTokens = value.tokenIds.every((id, index) => {
      const before = sent.tokenIds[tokensBefore + index];
      return before === undefined || before === id;
    });
    if (!sameText || !sameTokens) {
      throw new ReplayError(`lane ${value.lane} differs from what was sent`);
    }
    const newFrom = (known: number, before: number) => Math.max(0, known - before);
    const text = value.text.slice(newFrom(sent.text.length, textBefore));
    const firstToken = newFrom(sent.tokenIds.length, tokensBefore);
    const tokenIds = value.tokenIds.slice(firstToken);
    const logprobs = value.logprobs.slice(newFrom(sent.logprobs, logprobsBefore));
    if (text === "" && tokenIds.length === 0 && logprobs.length === 0) return null;
    const unnamedTokens = text === "" ? 0 : value.unnamedTokens;
    const tokens = tokenIds.length + unnamedTokens;
    const visibleTokens = Math.min(value.visibleTokens, tokens);
    const delta = { ...value, text, tokenIds, logprobs, visibleTokens, unnamedTokens };
    return { ...each, event: { case: "delta", value: delta } };
  }
}
