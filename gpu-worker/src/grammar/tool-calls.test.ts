import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { accepts } from "../../test/grammar-reader.ts";
import { templateToolFormat } from "../model/tool-format.ts";
import { grammarOf } from "./grammars.ts";
import type { AskedTools } from "./tool-calls.ts";

const asked: AskedTools = {
  format: "hermes",
  tools: [
    { name: "f", parameters: { properties: { n: { type: "integer" } }, required: ["n"] } },
    { name: "g" },
  ],
  required: false,
  parallel: true,
};
const takes = (change: Partial<AskedTools>, texts: readonly string[]) => {
  const words = grammarOf({ case: "tools", value: { ...asked, ...change } });
  return texts.filter((text) => accepts(words, text));
};
const call = (name: string, given: string) =>
  `<tool_call>\n{"name": "${name}", "arguments": ${given}}\n</tool_call>`;

const f = call("f", '{"n": 1}');
const g = call("g", '{"any": [1]}');
const bad = [
  call("f", "{}"),
  call("h", "{}"),
  `${f}\n`,
  `${f} and more`,
  "<tool_call>",
  f.slice(0, -1),
];

describe("an answer that may call tools", () => {
  it("is text, calls, or text and then calls, and a call that is begun is valid", () => {
    const text = ["", "No.", "a < b <tool <tool_car", "<<tool_ca"];
    const calls = [f, g, `${f}\n${g}`, `I look.\n${f}`, `<tool_${f}`];
    expect(takes({}, [...text, ...calls, ...bad])).toEqual([...text, ...calls]);
  });

  it("has one call if several are not asked for, and no text where one is required", () => {
    expect(takes({ parallel: false }, ["x", f, `${f}\n${g}`])).toEqual(["x", f]);
    expect(takes({ required: true }, ["x", "", `x${f}`, f, g, `${f}\n${g}`, ...bad])).toEqual([
      ...[f, g, `${f}\n${g}`],
    ]);
  });

  it("may be a call without tags, if it is one of a tool and the whole answer", () => {
    const bare = (name: string, given: string) => [
      `{"name": "${name}", "arguments": ${given}}`,
      `{\n  "name": "${name}",\n  "arguments": ${given}\n}`,
    ];
    const calls = [...bare("f", '{"n": 1}'), ...bare("f", '{\n    "n": 1\n  }')];
    const fenced = calls.map((each) => `\`\`\`json\n${each}\n\`\`\``);
    const text = [
      ...['{"name": "f"}', '{"name": "Bob", "age": 3}', "```json\n{}\n```", "```js\nf()", "{", "`"],
      ...['{"name": "f", "argument', `x ${calls[0]}`, `{"n<tool_${f}`, `\`${f}`],
    ];
    const wrong = [
      ...[...bare("h", '{"n": 1}'), ...bare("f", "{}"), ...bare("ff", '{"n": 1}')],
      ...calls.flatMap((each) => [`${each}\n`, each.slice(0, -1), `${each}\n${f}`]),
    ];
    const all = [...calls, ...fenced, ...text];
    expect(takes({}, [...all, ...wrong])).toEqual(all);
    expect(takes({ required: true }, [...calls, ...fenced])).toEqual([]);
  });

  it("is in the format of the model", () => {
    const llama = '{"name": "f", "parameters": {"n": 1}}';
    const texts = ["", "x", '{"names"', '{ "name": "f"', `x ${llama}`];
    expect(
      takes({ format: "llama3" }, [...texts, llama, `${llama}; ${llama}`, '{"name": "h"']),
    ).toEqual([...[...texts, llama]]);
    const one = '{"name": "f", "arguments": {"n": 1}}';
    const mistral = [`[TOOL_CALLS][${one}]`, `[TOOL_CALLS][${one}, ${one}]`];
    expect(takes({ format: "mistral" }, [...mistral, "[TOOL", "[TOOL_CALLS] x"])).toEqual([
      ...[...mistral, "[TOOL"],
    ]);
  });
});

describe("a chat template", () => {
  it("says how its model calls tools", () => {
    const formatOf = (name: string) => {
      const path = `../../test/chat-templates/${name}.jinja`;
      return templateToolFormat(
        readFileSync(fileURLToPath(new URL(path, import.meta.url)), "utf8"),
      );
    };
    const names = [
      "qwen2.5",
      "qwen3",
      "mistral-nemo",
      "tools-llama3",
      "smollm2",
      "phi-3.5",
      "granite-3.3",
    ];
    expect(names.map(formatOf)).toEqual([
      ...["hermes", "hermes", "mistral", "llama3", undefined, undefined, undefined],
    ]);
  });
});
