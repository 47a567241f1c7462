// The `ordered` stream: append-only text in document order. The first open run streams live; later
// runs are held back and released in order. A branch of an outlined stage is released once it is accepted.
import type { TokenLogprob } from "@anabranch/shared/proto/anabranch/v1/lane_events_pb.js";
import type { AnswerChange, AnswerRun, ChoiceDocument, Fragment, Presenter } from "./presenter.ts";

/** What one push releases. */
interface Released {
  text: string;
  logprobs: TokenLogprob[];
}

type Text = Extract<AnswerChange, { kind: "text" }>;

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
    const news = change.kind === "text" ? change : null;
    if (news && !news.run.void && this.#isPast(news.run)) this.#release(news.run, news, released);
    const { runs, finished } = this.#document;
    for (let index = this.#at ? runs.indexOf(this.#at) : runs.length; ; index++) {
      const at = runs[index];
      this.#at = at;
      if (!at) break;
      if (at.void) continue;
      if (!at.accepted) break;
      this.#release(at, news, released);
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

  #release(run: AnswerRun, news: Text | null, into: Released): void {
    const known = this.#sent.get(run);
    // A lead comes with the first text under it, so that a client's first text is the model's.
    if (!known && run.text === "" && !run.closed && !this.#document.finished) return;
    const sent = known ?? { text: 0, logprobs: 0 };
    // What is new in an open run is released as it came, each bit of it in a chunk of its own. (To slice a text that grows is
    // also to copy all of it.)
    const isOpen = !run.closed && !this.#document.finished;
    const { text, logprobs } =
      isOpen && news?.run === run && news.at === sent.text
        ? news
        : { text: run.text.slice(sent.text), logprobs: run.logprobs.slice(sent.logprobs) };
    into.text += (known ? "" : run.lead) + text;
    into.logprobs.push(...logprobs);
    this.#sent.set(run, {
      text: sent.text + text.length,
      logprobs: sent.logprobs + logprobs.length,
    });
  }
}
