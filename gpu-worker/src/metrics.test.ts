// The page about metrics has each that a worker serves, and no other; and what answers add to them.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { FinishReason, OutlineEnd } from "@anabranch/shared/proto/anabranch/v1/answer_pb.js";
import { FinishedSchema } from "@anabranch/shared/proto/anabranch/v1/lane_events_pb.js";
import { create } from "@bufbuild/protobuf";
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

it("an answer adds what became of its outlines", async () => {
  const metrics = new Metrics("model", () => Promise.reject(new Error("no engine")));
  const outlineEnds = [OutlineEnd.JOINED, OutlineEnd.NO_STAGE, OutlineEnd.JOINED];
  const usage = { outlineEnds };
  metrics.begin().finish(create(FinishedSchema, { reason: FinishReason.STOP, usage }));
  const lines = (await metrics.text())
    .split("\n")
    .filter((line) => line.startsWith("anabranch_outlines_total"));
  expect(lines).toEqual([
    'anabranch_outlines_total{end="joined",model="model"} 2',
    'anabranch_outlines_total{end="no_stage",model="model"} 1',
  ]);
});
