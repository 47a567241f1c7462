// Selects, among the candidate stages of one answer, those that save the most decode steps.

export interface Span {
  start: number;
  end: number;
}

/**
 * Selects at most `maxSpans` spans with the largest sum of `worth`, in document order. No two overlap, and
 * there is text between any two, because no plan may directly follow a join. Spans without a positive
 * worth are never selected.
 */
export function selectSpans<S extends Span>(
  spans: readonly S[],
  worth: (span: S) => number,
  text: string,
  maxSpans: number,
): S[] {
  const sorted = spans.filter((span) => worth(span) > 0).sort((a, b) => a.end - b.end);
  // best[i]: the best selection of up to n spans that ends with span i.
  let best: Selection<S>[] = sorted.map((span) => ({ sum: worth(span), span }));
  let winner = top(best);
  for (let n = 2; n <= maxSpans; n++) {
    const longer = sorted.map((span, i): Selection<S> => {
      const before = top(best.slice(0, i).filter(({ span: last }) => areApart(last, span, text)));
      return { sum: worth(span) + (before?.sum ?? 0), span, ...(before && { before }) };
    });
    const bestOfN = top(longer);
    if (!bestOfN || bestOfN.sum <= (winner?.sum ?? 0)) break;
    [best, winner] = [longer, bestOfN];
  }
  const selected: S[] = [];
  for (let at = winner; at; at = at.before) selected.unshift(at.span);
  return selected;
}

interface Selection<S> {
  sum: number;
  span: S;
  before?: Selection<S>;
}

function top<S>(selections: readonly Selection<S>[]): Selection<S> | undefined {
  return selections.reduce<Selection<S> | undefined>(
    (best, each) => (best && best.sum >= each.sum ? best : each),
    undefined,
  );
}

const areApart = (first: Span, second: Span, text: string): boolean =>
  first.end < second.start && text.slice(first.end, second.start).trim() !== "";
