import { expect, it } from "vitest";
import { faultNames, runFault } from "./faults/run.ts";
import { held } from "./faults.ts";

it.each(faultNames)(
  "nothing is lost: %s",
  async (fault) => {
    const figures = await runFault(fault, 6, 60);
    expect(figures).toMatchObject({ streams: 6, failed: 0, different: 0, pool_whole: true });
    expect(held(figures)).toBe(true);
    // Clients may notice what happens to the gateway, and nothing of what is behind it.
    if (fault !== "gateway") expect(figures.asked_again).toBe(0);
  },
  120_000,
);
