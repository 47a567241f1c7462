import { Thinking } from "@anabranch/shared/proto/anabranch/v1/lane_events_pb.js";
import { describe, expect, it } from "vitest";
import { ThinkingReader } from "./thinking-reader.ts";

function read(text: string, kind: Thinking.MARKED | Thinking.OPEN, size: number) {
  const reader = new ThinkingReader(kind);
  const bits = [];
  for (let at = 0; at < text.length; at += size) {
    bits.push(...reader.push(text.slice(at, at + size)));
  }
  bits.push(...reader.end());
  return {
    thinking: bits.map((bit) => ("thinking" in bit ? bit.thinking : "")).join(""),
    content: bits.map((bit) => ("content" in bit ? bit.content : "")).join(""),
  };
}

const { MARKED, OPEN } = Thinking;

describe("thinking", () => {
  it.each([
    ["marked", "<think>\na < b </thin\n</think>\n\nSo, b.", MARKED, "a < b </thin", "So, b."],
    ["begun by the prompt", "a b\n</think>\n\nSo </think> b", OPEN, "a b", "So </think> b"],
    ["that is empty", "<think>\n\n</think>\n\nb", MARKED, "", "b"],
    ["that never ends", "<think>a </thi", MARKED, "a </thi", ""],
    ["that did not begin", "<thin> b", MARKED, "", "<thin> b"],
    ["that nearly began", "<thi", MARKED, "", "<thi"],
    ["within an answer", "b <think>a</think>", MARKED, "", "b <think>a</think>"],
  ] as const)("is read the same whatever its pieces: %s", (_, text, kind, thinking, content) => {
    for (let size = 1; size <= text.length; size++) {
      expect(read(text, kind, size), `in pieces of ${size}`).toEqual({ thinking, content });
    }
  });
});
