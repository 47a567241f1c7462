/** What one of several generators said next: its index, and a value or its end. */
export interface Said<T, End> {
  index: number;
  next: IteratorResult<T, End>;
}

/** The values of all `sources` as they come, and their ends. The first error ends it; `sources` then end too. */
export async function* merge<T, End>(
  sources: readonly AsyncGenerator<T, End>[],
): AsyncGenerator<Said<T, End>> {
  const ask = async (index: number): Promise<Said<T, End>> => {
    const next = await (sources[index] as AsyncGenerator<T, End>).next();
    return { index, next };
  };
  // Whoever stops reading is told nothing more.
  const begin = (index: number) => {
    const said = ask(index);
    said.catch(() => undefined);
    return said;
  };
  const asked = new Map(sources.map((_, index) => [index, begin(index)]));
  while (asked.size > 0) {
    const said = await Promise.race(asked.values());
    if (said.next.done) asked.delete(said.index);
    else asked.set(said.index, begin(said.index));
    yield said;
  }
}
