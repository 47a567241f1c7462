// The `ordered` stream: append-only text in document order. The first open piece streams live, later
// ones are held and released in turn.
import type { AnswerDocument, Change, Piece } from "./document.ts";
import type { Fragment, Presenter } from "./fragment.ts";

export class OrderedPresenter implements Presenter {
  readonly #document: AnswerDocument;
  /** Everything before this piece is out. */
  #at: Piece | undefined;
  /** How much of each piece's text and logprobs is out. */
  readonly #sent = new Map<Piece, { text: number; logprobs: number }>();

  constructor(document: AnswerDocument) {
    this.#document = document;
    this.#at = document.pieces[0];
  }

  push(change: Change): Fragment[] {
    const fragment: Fragment = { text: "", logprobs: [] };
    // The document may be further than the change: one message can hold a later branch's text and the
    // end that makes it void.
    if (change.kind === "text" && !change.piece.void && this.#isPast(change.piece)) {
      this.#release(change.piece, fragment);
    }
    const { pieces } = this.#document;
    for (let index = this.#at ? pieces.indexOf(this.#at) : pieces.length; ; index++) {
      const at = pieces[index];
      this.#at = at;
      if (!at) break;
      if (!at.void) this.#release(at, fragment);
      if (!at.closed) break;
    }
    return fragment.text === "" && fragment.logprobs.length === 0 ? [] : [fragment];
  }

  /** Text that a stop string held back may come after its piece was left behind. */
  #isPast(piece: Piece): boolean {
    if (!this.#at) return true;
    const { pieces } = this.#document;
    return pieces.indexOf(piece) < pieces.indexOf(this.#at);
  }

  #release(piece: Piece, into: Fragment): void {
    const sent = this.#sent.get(piece) ?? { text: 0, logprobs: 0 };
    into.text += piece.text.slice(sent.text);
    into.logprobs.push(...piece.logprobs.slice(sent.logprobs));
    this.#sent.set(piece, { text: piece.text.length, logprobs: piece.logprobs.length });
  }
}
