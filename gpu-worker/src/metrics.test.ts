// The page about metrics has each that a worker serves, and no other.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { Metrics } from "./metrics.ts";

it("docs/operations.md names every metric", async () => {
  const page = readFileSync(join(import.meta.dirname, "../../docs/operations.md"), "utf8");
  const table = page.slice(page.indexOf("## Metrics"), page.indexOf("## Logs"));
  const rows = [...table.matchAll(/^\| (`[a-z][^|]*) \|/gm)].map(([, names = ""]) => names);
  const named = rows.flatMap((names) => [...names.matchAll(/`([a-z_]+)/g)].map(([, name]) => name));
  const metrics = new Metrics("model", () => Promise.reject(new Error("no engine")));
  const served = [...(await metrics.text()).matchAll(/^# TYPE anabranch_(\w+)/gm)];
  expect(named.filter((name) => name !== "anabranch_").sort()).toEqual(
    served.map(([, name]) => name).sort(),
  );
});
