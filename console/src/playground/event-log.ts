// The events of a stream as files, the tab's storage and the list below an answer have them.
import type { LaneChunk } from "@anabranch/shared/lane-answer.ts";
import type { LaneMark } from "@anabranch/shared/lane-mark.ts";
import type { components } from "../api/schema.d.ts";

export type Usage = components["schemas"]["CompletionUsage"];

/** A chunk of the stream, as it came. */
export type Chunk = LaneChunk & {
  anabranch?: LaneMark;
  usage?: Usage | null;
  error?: { message?: string };
};

export interface RunEvent {
  /** ms since the request was sent */
  at: number;
  chunk: Chunk;
}

/** So many stay as they came. */
export const mostEvents = 5_000;

/** Where more text of its lane may be added; null: it says more than text. */
function laneOf({ choices, anabranch: mark, usage, error }: Chunk): number | null {
  const [choice] = choices;
  const plain = choice && !choice.finish_reason && !choice.logprobs && !usage && !error;
  if (!plain || (mark && (mark.event !== "delta" || mark.stop_lane !== undefined))) return null;
  return mark?.lane ?? 0;
}

/**
 * The same text, looked into now and then: until somebody does, a string that grows keeps each of its parts, which take
 * much more memory than the text.
 */
function flat(text: string): string {
  if (text.length % 16 === 0) text.charCodeAt(0);
  return text;
}

/**
 * All events of a stream, from which the answer can be put together again. After the first 5,000, text joins the event
 * of its lane before it, if no branch opened or closed meanwhile: a long answer takes little more than its text.
 */
export class EventLog {
  readonly events: RunEvent[] = [];
  /** By lane: the last event that takes more text. */
  readonly #open = new Map<number, RunEvent>();

  push(event: RunEvent): void {
    const { chunk } = event;
    const lane = laneOf(chunk);
    if (lane === null) this.#open.clear();
    const delta = chunk.choices[0]?.delta;
    const before = lane === null ? undefined : this.#open.get(lane)?.chunk.choices[0]?.delta;
    if (delta && before) {
      before.content = flat((before.content ?? "") + (delta.content ?? ""));
      return;
    }
    this.events.push(event);
    if (lane !== null && delta && this.events.length > mostEvents) this.#open.set(lane, event);
  }
}
