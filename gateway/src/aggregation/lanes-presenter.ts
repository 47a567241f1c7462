// The `lanes` stream: every lane's text as it is decoded, each chunk saying where it belongs.
import { type Change, closeReason, type Piece } from "./document.ts";
import type { Fragment, Presenter } from "./fragment.ts";

const place = ({ lane, stage, title }: Piece) => ({ lane, stage, title });

export class LanesPresenter implements Presenter {
  push(change: Change): Fragment[] {
    switch (change.kind) {
      case "text": {
        const { piece, text, logprobs } = change;
        return [{ text, logprobs, mark: { event: "delta", ...place(piece) } }];
      }
      case "stage_opened": {
        const { stage, parent, branches } = change;
        const lanes = branches.map(({ lane }) => lane);
        const titles = branches.map(({ title }) => title ?? "");
        const at = { lane: parent.lane, stage, title: null };
        return [{ text: "", logprobs: [], mark: { event: "stage_opened", ...at, lanes, titles } }];
      }
      case "branch_closed": {
        const { piece, reason } = change;
        const mark = { event: "branch_closed" as const, ...place(piece) };
        return [{ text: "", logprobs: [], mark: { ...mark, reason: closeReason(reason) } }];
      }
      case "stage_closed": {
        const { stage, parent } = change;
        const at = { lane: parent.lane, stage, title: null };
        return [{ text: "", logprobs: [], mark: { event: "stage_closed", ...at } }];
      }
      case "finished":
        // Told by the last chunk (lastMark).
        return [];
    }
  }

  /** Where the answer ended: with `stop_lane`, lanes behind it in document order are void. */
  lastMark(stoppedIn: Piece | null): Fragment["mark"] {
    if (!stoppedIn) return { event: "delta", lane: 0, stage: null, title: null };
    return { event: "delta", ...place(stoppedIn), stop_lane: stoppedIn.lane };
  }
}
