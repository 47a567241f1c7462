import { describe, expect, it } from "vitest";
import { bytesTogether } from "./together.ts";

/** A stream of `count` pieces that are there at once; then it ends, or fails. */
function streamOf(count: number, failure?: Error) {
  let at = 0;
  let cancelled = false;
  const stream = new ReadableStream<Uint8Array>({
    pull(controller) {
      if (at < count) controller.enqueue(Uint8Array.of(at, at++ >> 8));
      else if (failure) controller.error(failure);
      else controller.close();
    },
    cancel() {
      cancelled = true;
    },
  });
  return { stream, wasCancelled: () => cancelled };
}

const bytesOf = (count: number) => Array.from({ length: count }, (_, at) => [at & 255, at >> 8]);

describe("the bytes of a stream", () => {
  it("are all there, in order, and those that come together are taken together", async () => {
    const parts: Uint8Array[] = [];
    for await (const part of bytesTogether(streamOf(5_000).stream)) parts.push(part);
    expect(parts.flatMap((part) => [...part])).toEqual(bytesOf(5_000).flat());
    expect(parts.length).toBeLessThan(500);
  });

  it("come before what the stream fails with", async () => {
    const seen: number[] = [];
    const read = async () => {
      const { stream } = streamOf(40, new Error("broken off"));
      for await (const part of bytesTogether(stream)) seen.push(...part);
    };
    await expect(read()).rejects.toThrow("broken off");
    expect(seen).toEqual(bytesOf(40).flat());
  });

  it("are read no further by who leaves", async () => {
    const { stream, wasCancelled } = streamOf(1_000_000);
    for await (const _ of bytesTogether(stream)) break;
    expect(wasCancelled()).toBe(true);
  });

  it("are not read far ahead of who takes them", async () => {
    let pieces = 0;
    const stream = new ReadableStream<Uint8Array>({
      pull(controller) {
        pieces++;
        controller.enqueue(new Uint8Array(1_000));
      },
    });
    const bytes = bytesTogether(stream);
    await bytes.next();
    await scheduler.wait(50);
    expect(pieces).toBeLessThan(200);
    await bytes.return(undefined);
  });
});
