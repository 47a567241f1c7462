// Which parts of an interval the roll-up answers, and which need rows: its longest periods first, rows at the edges.

/** Lengths of the roll-up's periods in seconds, as its trigger has them. All offsets of time zones are quarters. */
export const periods = [86_400, 900] as const;

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
    (period) => interval === null || (interval % period === 0 && shift % period === 0),
  );
  return cover(start, end, fitting, rowsFrom).filter((each) => each.start < each.end);
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
  const quarter = periods[1];
  if (start >= end || start >= rowsFrom) return [{ period: 0, start, end }];
  const gone = Math.ceil(Math.min(end, rowsFrom) / quarter) * quarter;
  return [
    { period: quarter, start: Math.floor(start / quarter) * quarter, end: gone },
    { period: 0, start: gone, end },
  ];
}
