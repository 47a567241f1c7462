import { Thinking } from "@anabranch/shared/proto/anabranch/v1/lane_events_pb.js";
import { toolFormats } from "@anabranch/shared/tool-formats.ts";
import { describe, expect, it } from "vitest";
import { readAnswer } from "./answer-reader.ts";
import { ToolCallReader } from "./tool-call-reader.ts";

const { hermes, llama3, mistral } = toolFormats;

/** What a stream says, in pieces of `size` characters. */
function streamed(
  text: string,
  format: (typeof toolFormats)[keyof typeof toolFormats],
  size: number,
) {
  const reader = new ToolCallReader(format, "a");
  const bits = [];
  for (let at = 0; at < text.length; at += size)
    bits.push(...reader.push(text.slice(at, at + size)));
  bits.push(...reader.end());
  const content = bits.map((bit) => ("content" in bit ? bit.content : "")).join("");
  const calls: [string, string][] = [];
  for (const bit of bits) {
    if ("name" in bit) calls[bit.call] = [bit.name, ""];
    const call = "arguments" in bit ? calls[bit.call] : undefined;
    if (call && "arguments" in bit) call[1] += bit.arguments;
  }
  return { content, calls };
}

const given = '{"a": "}\\"{<tool_call>", "b": [{}, 1]}';
const one = (name: string) =>
  `<tool_call>\n{"name": "${name}", "arguments": ${given}}\n</tool_call>`;

describe("a stream with calls", () => {
  it.each([
    ["text", "Is 1 < 2? <tool_car> ends with <tool", hermes, []],
    ["a call", one("f"), hermes, ["f"]],
    ["text and calls", `I look.\n${one("f")}\n${one("g-2")}`, hermes, ["f", "g-2"]],
    ["a call of Llama's", `{"name": "f", "parameters": ${given}}`, llama3, ["f"]],
    ["text that begins like one", '{"names": 1} and {"name": "f"', llama3, []],
    [
      "calls of Mistral's",
      `[TOOL_CALLS][{"name": "f", "arguments": ${given}}, {"name": "g", "arguments": ${given}}]`,
      mistral,
      ["f", "g"],
    ],
  ] as const)("says the same whatever its pieces: %s", (_, text, format, names) => {
    const [content] = names.length > 0 ? text.split(/\n?(?:<tool_call>|\[TOOL|\{"name)/) : [text];
    for (let size = 1; size <= text.length; size++) {
      const { content: said, calls } = streamed(text, format, size);
      expect(said, `in pieces of ${size}`).toBe(content);
      expect(calls).toEqual(names.map((name) => [name, given]));
    }
    const whole = readAnswer(text, { toolFormat: format, thinking: Thinking.UNSPECIFIED }, "a");
    expect(whole.content).toBe(content);
    expect(whole.calls).toMatchObject(names.map((name) => ({ name, arguments: given })));
  });

  it.each([
    `{"name": "f", "arguments": ${given}}`,
    `{\n  "name": "f",\n  "arguments": ${given}\n}`,
    `\`\`\`json\n{"name": "f", "arguments": ${given}}\n\`\`\``,
    `\`\`\`json\n{\n  "name": "f",\n  "arguments": ${given}\n}\n\`\`\``,
  ])("may be a call without tags: %s", (text) => {
    for (let size = 1; size <= text.length; size++) {
      expect(streamed(text, hermes, size)).toEqual({ content: "", calls: [["f", given]] });
      const later = `So: ${text}`;
      const { content } = streamed(later, hermes, size);
      expect(content).toBe(later.slice(0, later.indexOf("<tool_call>")));
    }
    const thought = { toolFormat: hermes, thinking: Thinking.OPEN };
    const [said] = text.split("<tool_call>");
    expect(readAnswer(`so</think>\n\n${text}`, thought, "a")).toMatchObject({ content: said });
  });

  it.each(["{", '{"name": "f"', '{"name": "Bob", "age": 3}', "```json\n{}\n```", "`"])(
    "says text that only begins like a call without tags: %s",
    (text) => {
      for (let size = 1; size <= text.length; size++) {
        expect(streamed(text, hermes, size)).toEqual({ content: text, calls: [] });
      }
    },
  );

  it("that is cut says what it has", () => {
    const text = one("f");
    const cut = text.slice(0, text.indexOf('"b"'));
    expect(streamed(cut, hermes, 3).calls).toEqual([["f", '{"a": "}\\"{<tool_call>", ']]);
    expect(streamed(text.slice(0, 15), hermes, 3)).toEqual({ content: "", calls: [] });
  });
});
