// Which parts of an interval the roll-up answers, and which need rows: its longest periods first, rows at the edges.

/** Lengths of the roll-up's periods in seconds, as its trigger has them. All offsets of time zones are quarters. */
export const periods = [86_400, 900] as const;

const [, quarter] = periods;

/** From `start`, before `end`, in seconds since the epoch; `period` 0: of rows. */
export interface Segment {
  period: (typeof periods)[number] | 0;
  start: number;
  end: number;
}

export interface Span {
  start: number;
  end: number;
  /** Seconds of the intervals that are told apart; null: none are. */
  interval: number | null;
  /** Where they begin: seconds east of UTC. */
  shift: number;
  /** Earlier rows may be gone: there, a quarter of an hour at an edge counts whole. */
  rowsFrom: number;
}

/** Segments that cover the span, none twice. */
export function segmentsOf({ start, end, interval, shift, rowsFrom }: Span): Segment[] {
  const fitting = periods.filter(
    (period) =>
      interval === null || (interval % period === 0 && shift % Math.min(period, quarter) === 0),
  );
  return cover(start, end, fitting, rowsFrom).filter((each) => each.start < each.end);
}

/**
 * Days of another zone are days of UTC less the quarters that belong to the neighbour. A day of UTC counts to the
 * zone's day that has its second `anchor`; the quarters from `from` to `to` of it (in seconds) move to where they belong.
 * Null: nothing moves.
 */
export function moved({
  interval,
  shift,
}: Pick<Span, "interval" | "shift">): { anchor: number; from: number; to: number } | null {
  const [day] = periods;
  if (interval !== day || shift === 0) return null;
  return shift > 0
    ? { anchor: 0, from: day - shift, to: day }
    : { anchor: day - 1, from: 0, to: -shift };
}

function cover(
  start: number,
  end: number,
  [period, ...shorter]: readonly (typeof periods)[number][],
  rowsFrom: number,
): Segment[] {
  if (period === undefined) return edge(start, end, rowsFrom);
  const first = Math.ceil(start / period) * period;
  const last = Math.floor(end / period) * period;
  if (first >= last) return cover(start, end, shorter, rowsFrom);
  return [
    ...cover(start, first, shorter, rowsFrom),
    { period, start: first, end: last },
    ...cover(last, end, shorter, rowsFrom),
  ];
}

/** What no period fits into: rows, where they are kept. */
function edge(start: number, end: number, rowsFrom: number): Segment[] {
  if (start >= end || start >= rowsFrom) return [{ period: 0, start, end }];
  const gone = Math.ceil(Math.min(end, rowsFrom) / quarter) * quarter;
  return [
    { period: quarter, start: Math.floor(start / quarter) * quarter, end: gone },
    { period: 0, start: gone, end },
  ];
}
