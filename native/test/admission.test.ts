// Which waiting request starts next, and whom it may interrupt.
import { describe, expect, it } from "vitest";
import { finish, Serving } from "./answers.ts";

/** A prompt that shares no block with others of another `seed`. */
const promptOf = (seed: number, length: number) =>
  Array.from({ length }, (_, i) => 5 + ((seed * 31 + i * 7 + (i >> 4)) % 200));

/** An engine with room for 640 tokens, given requests that arrive together. Who ended, in order. */
async function serve(
  requests: readonly [name: string, length: number, tokens: number, priority?: number][],
) {
  const serving = new Serving({ kvMib: 40 * kvMibOfBlock });
  expect(serving.engine.load().kvTotal).toBe(40);
  const asked = serving.askGroup(
    requests.map(([, length, maxTokens, priority = 0], i) => ({
      ...{ prompt: promptOf(i, length), maxTokens, ignoreEos: true, priority },
    })),
  );
  const ended: string[] = [];
  await Promise.all(
    asked.map(async ({ answer }, i) => {
      expect((await answer).reason).toBe(finish.length);
      ended.push(requests[i]?.[0] ?? "");
    }),
  );
  expect(serving.engine.load().preemptions).toBe(0);
  serving.expectAllFree();
  return ended;
}
const kvMibOfBlock = (() => {
  const { kvTotal } = new Serving({ kvMib: 4 }).engine.load();
  return 4 / kvTotal;
})();

describe("admission", () => {
  it("a prompt that does not fit yet lets smaller ones pass, but only so many", async () => {
    const small = Array.from({ length: 40 }, () => ["small", 10, 5] as [string, number, number]);
    const ended = await serve([["first", 400, 200], ["large", 350, 5], ...small]);
    const before = ended.slice(0, ended.indexOf("first"));
    expect(before).toEqual(Array.from({ length: 32 }, () => "small"));
  });

  it("nobody is interrupted for a request that would not fit all the same", async () => {
    const ended = await serve([
      ["low", 60, 250],
      ["equal", 380, 40, 1],
      ["large", 250, 5, 1],
    ]);
    expect(ended).toEqual(["equal", "large", "low"]);
  });
});
