// Against Python (gpu-worker/test/dates/make_fixture.py).
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { strftime } from "./strftime.ts";

const fixture = JSON.parse(
  readFileSync(new URL("../../test/dates/fixture.json", import.meta.url), "utf8"),
) as { date: string; texts: Record<string, string> }[];

describe.each(fixture)("$date", ({ date, texts }) => {
  // Seconds since 1970 depend on the machine's zone; all else is local time.
  const local = new Date(date);
  it.each(Object.entries(texts).filter(([format]) => format !== "%s"))(
    "%j is as Python writes it",
    (format, text) => expect(strftime(format, local)).toBe(text),
  );
  it("%s counts seconds", () => {
    expect(strftime("%s", local)).toBe(String(local.getTime() / 1000));
  });
});

it("microseconds are those of the clock's milliseconds", () => {
  expect(strftime("%H.%f", new Date(2026, 1, 1, 5, 0, 0, 42))).toBe("05.042000");
});
