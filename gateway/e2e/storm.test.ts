// The storms of `npm run bench -- storm`, at sizes of a test.
import { expect, it } from "vitest";
import { equalRequests } from "../local/storm/equal.ts";

it("equal requests at the same time are decoded once, whichever isolate they reach", async () => {
  const requests = 120;
  expect(await equalRequests(requests, 3)).toMatchObject({
    ...{ generations: 1, whole: requests, texts: 1, counted: requests, hits: requests - 1 },
  });
}, 120_000);
