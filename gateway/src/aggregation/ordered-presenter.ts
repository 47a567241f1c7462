// The `ordered` stream: append-only text in document order. The first open run streams live; later
// runs are held back and released in order. A branch of an outlined stage is released once it is accepted.
import type { TokenLogprob } from "@anabranch/shared/proto/anabranch/v1/lane_events_pb.js";
import type { AnswerChange, AnswerRun, ChoiceDocument, Fragment, Presenter } from "./presenter.ts";

/** What one push releases. */
interface Released {
  text: string;
  logprobs: TokenLogprob[];
}

export class OrderedPresenter implements Presenter {
  readonly #document: ChoiceDocument;
  /** Everything before this run has been sent. */
  #at: AnswerRun | undefined;
  /** How much of each run's text and log-probabilities has been sent. */
  readonly #sent = new Map<AnswerRun, { text: number; logprobs: number }>();

  constructor(document: ChoiceDocument) {
    this.#document = document;
    this.#at = document.runs[0];
  }

  push(change: AnswerChange): Fragment[] {
    const released: Released = { text: "", logprobs: [] };
    // The document may be ahead of the change: one message can hold the text of a later branch and the
    // end that makes it void.
    if (change.kind === "text" && !change.run.void && this.#isPast(change.run)) {
      this.#release(change.run, released);
    }
    const { runs, finished } = this.#document;
    for (let index = this.#at ? runs.indexOf(this.#at) : runs.length; ; index++) {
      const at = runs[index];
      this.#at = at;
      if (!at) break;
      if (at.void) continue;
      if (!at.accepted) break;
      this.#release(at, released);
      if (!at.closed && !finished) break;
    }
    return released.text === "" && released.logprobs.length === 0 ? [] : [released];
  }

  /** Text that a stop string held back may arrive after its run was passed. */
  #isPast(run: AnswerRun): boolean {
    if (!this.#at) return true;
    const { runs } = this.#document;
    return runs.indexOf(run) < runs.indexOf(this.#at);
  }

  #release(run: AnswerRun, into: Released): void {
    const known = this.#sent.get(run);
    // A lead comes with the first text under it, so that a client's first text is the model's.
    if (!known && run.text === "" && !run.closed && !this.#document.finished) return;
    const sent = known ?? { text: 0, logprobs: 0 };
    into.text += (known ? "" : run.lead) + run.text.slice(sent.text);
    into.logprobs.push(...run.logprobs.slice(sent.logprobs));
    this.#sent.set(run, { text: run.text.length, logprobs: run.logprobs.length });
  }
}
