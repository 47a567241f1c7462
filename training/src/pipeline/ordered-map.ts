/**
 * Maps a stream with at most `width` items in flight, and yields the results in the order of the items.
 * The first failure, in that order, ends the stream.
 */
export async function* mapOrdered<A, B>(
  items: AsyncIterable<A>,
  width: number,
  map: (item: A) => Promise<B>,
): AsyncGenerator<B> {
  const inFlight: Promise<B>[] = [];
  for await (const item of items) {
    const result = map(item);
    // It is awaited later. Until then, its rejection must not count as unhandled.
    result.catch(() => {});
    inFlight.push(result);
    if (inFlight.length >= width) yield (await inFlight.shift()) as B;
  }
  for (const result of inFlight) yield await result;
}
