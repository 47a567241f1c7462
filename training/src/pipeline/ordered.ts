/**
 * Maps a stream with up to `width` items in work, and gives the results in the order of the items.
 * The first failure ends it.
 */
export async function* mapOrdered<A, B>(
  items: AsyncIterable<A>,
  width: number,
  map: (item: A) => Promise<B>,
): AsyncGenerator<B> {
  const inWork: Promise<B>[] = [];
  for await (const item of items) {
    const result = map(item);
    // It is awaited in its turn; until then its failure is not lost and not unhandled.
    result.catch(() => {});
    inWork.push(result);
    if (inWork.length >= width) yield (await inWork.shift()) as B;
  }
  for (const result of inWork) yield await result;
}
