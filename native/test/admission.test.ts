// Which waiting request starts next, and whom it may interrupt.
import { describe, expect, it } from "vitest";
import { finish, Serving } from "./answers.ts";

/** A prompt that shares no block with others of another `seed`. */
const promptOf = (seed: number, length: number) =>
  Array.from({ length }, (_, i) => 5 + ((seed * 31 + i * 7 + (i >> 4)) % 200));

/** An engine with room for 640 tokens, and requests that tell in which order they ended. */
function serve() {
  const serving = new Serving({ kvMib: 40 * kvMibOfBlock });
  expect(serving.engine.load().kvTotal).toBe(40);
  const ended: string[] = [];
  let seed = 0;
  const ask = (name: string, length: number, maxTokens: number, priority = 0) => {
    const prompt = promptOf(++seed, length);
    const asked = serving.ask({ prompt, maxTokens, ignoreEos: true, priority });
    const answer = asked.answer.then((done) => {
      expect(done.reason).toBe(finish.length);
      ended.push(name);
    });
    return { started: asked.seen("started"), answer };
  };
  return { serving, ended, ask };
}
const kvMibOfBlock = (() => {
  const { kvTotal } = new Serving({ kvMib: 4 }).engine.load();
  return 4 / kvTotal;
})();

describe("admission", () => {
  it("a prompt that does not fit yet lets smaller ones pass, but only so many", async () => {
    const { serving, ended, ask } = serve();
    const first = ask("first", 400, 200);
    await first.started;
    const large = ask("large", 350, 5);
    const small = Array.from({ length: 40 }, (_, i) => ask(`small ${i}`, 10, 5));
    await Promise.all([first.answer, large.answer, ...small.map(({ answer }) => answer)]);
    const before = ended.slice(0, ended.indexOf("first"));
    expect(before.length).toBe(32);
    expect(before).not.toContain("large");
    expect(serving.engine.load().preemptions).toBe(0);
    serving.expectAllFree();
  });

  it("nobody is interrupted for a request that would not fit all the same", async () => {
    const { serving, ended, ask } = serve();
    const low = ask("low", 100, 150);
    const equal = ask("equal", 300, 60, 1);
    await Promise.all([low.started, equal.started]);
    const large = ask("large", 400, 5, 1);
    await Promise.all([low.answer, equal.answer, large.answer]);
    expect(ended).toEqual(["equal", "large", "low"]);
    expect(serving.engine.load().preemptions).toBe(0);
    serving.expectAllFree();
  });
});
