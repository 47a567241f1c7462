// The `lanes` stream: every lane's text as it is decoded. Each chunk says where its text belongs.
import type { LaneMark } from "@anabranch/shared/lane-mark.ts";
import type { AnswerChange, AnswerRun, Fragment, Presenter } from "./presenter.ts";

const placeOf = ({ lane, stage, title }: AnswerRun) => ({ lane, stage, title });
const trunk = { lane: 0, title: null };

function markOf(change: Exclude<AnswerChange, { kind: "finished" }>): LaneMark {
  switch (change.kind) {
    case "text":
      return { event: "delta", ...placeOf(change.run) };
    case "stage_opened": {
      const { stage, branches, outlined, declared } = change.stage;
      const lanes = branches.map(({ lane }) => lane);
      const titles = branches.map(({ title }) => title ?? "");
      return {
        event: "stage_opened",
        ...trunk,
        stage,
        lanes,
        titles,
        ...(outlined && { outlined }),
        ...(declared && { declared }),
      };
    }
    case "branch_accepted":
      return { event: "branch_accepted", ...placeOf(change.run) };
    case "branch_closed":
      return { event: "branch_closed", ...placeOf(change.run), reason: change.run.reason };
    case "stage_closed":
      return { event: "stage_closed", ...trunk, stage: change.stage.stage };
  }
}

export class LanesPresenter implements Presenter {
  push(change: AnswerChange): Fragment[] {
    if (change.kind === "finished") return []; // the closing mark reports it
    const { text, logprobs } = change.kind === "text" ? change : { text: "", logprobs: [] };
    return [{ text, logprobs, mark: markOf(change) }];
  }

  /** The mark of the first chunk, which carries no text. */
  get openingMark(): LaneMark {
    return { event: "delta", ...trunk, stage: null };
  }

  /** The mark of the last chunk. Lanes after `stop_lane` in document order are void. */
  closingMark(stoppedIn: AnswerRun | null): LaneMark {
    if (!stoppedIn) return this.openingMark;
    return { event: "delta", ...placeOf(stoppedIn), stop_lane: stoppedIn.lane };
  }
}
