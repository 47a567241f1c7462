// Among candidate stages of one answer, the set that saves the most decode steps.

export interface Span {
  start: number;
  end: number;
}

/**
 * The spans, in document order, with the largest sum of `worth`, of which no two overlap or touch
 * with nothing but white space between (no plan may follow a join), `most` at the most. Spans of
 * no worth are never taken.
 */
export function chooseSpans<S extends Span>(
  spans: readonly S[],
  worth: (span: S) => number,
  text: string,
  most: number,
): S[] {
  const sorted = spans.filter((span) => worth(span) > 0).sort((a, b) => a.end - b.end);
  // best[n][i]: the best choice of up to n spans that ends with span i.
  let best: Choice<S>[] = sorted.map((span) => ({ sum: worth(span), span }));
  let winner = top(best);
  for (let n = 2; n <= most; n++) {
    const longer = sorted.map((span, i): Choice<S> => {
      const before = top(best.slice(0, i).filter(({ span: last }) => parted(last, span, text)));
      return { sum: worth(span) + (before?.sum ?? 0), span, ...(before && { before }) };
    });
    const top_ = top(longer);
    if (!top_ || top_.sum <= (winner?.sum ?? 0)) break;
    [best, winner] = [longer, top_];
  }
  const chosen: S[] = [];
  for (let at = winner; at; at = at.before) chosen.unshift(at.span);
  return chosen;
}

interface Choice<S> {
  sum: number;
  span: S;
  before?: Choice<S>;
}

function top<S>(choices: readonly Choice<S>[]): Choice<S> | undefined {
  return choices.reduce<Choice<S> | undefined>(
    (best, choice) => (best && best.sum >= choice.sum ? best : choice),
    undefined,
  );
}

const parted = (first: Span, second: Span, text: string): boolean =>
  first.end < second.start && text.slice(first.end, second.start).trim() !== "";
