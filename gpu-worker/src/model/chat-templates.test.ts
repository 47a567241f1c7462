// Prompts as transformers renders them (gpu-worker/test/chat-templates/make_fixture.py).
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { readFolder } from "./model-files.ts";
import { type Message, PromptError, TextModel } from "./text-model.ts";

const at = (path: string) => fileURLToPath(new URL(`../../../${path}`, import.meta.url));
const templates = at("gpu-worker/test/chat-templates");
const fixture = JSON.parse(readFileSync(`${templates}/fixture.json`, "utf8")) as {
  date: string;
  tokens: Record<string, string>;
  conversations: Record<string, Message[]>;
  /** By template and conversation; null: the template refuses it. */
  rendered: Record<string, Record<string, string | null>>;
};

// Some templates write the day.
beforeAll(() => {
  vi.useFakeTimers({ now: new Date(`${fixture.date}T12:00:00`) });
});
afterAll(() => {
  vi.useRealTimers();
});

describe.each(Object.keys(fixture.rendered))("%s", (name) => {
  const text = readFileSync(`${templates}/${name}.jinja`, "utf8");
  const model = new TextModel({
    ...readFolder(at("models/small")),
    ...{ tokenizerConfig: fixture.tokens, dialect: undefined },
    chatTemplate: { text, origin: `${name}.jinja` },
  });

  it.each(Object.entries(fixture.conversations))("renders %s", (conversation, messages) => {
    const wanted = fixture.rendered[name]?.[conversation];
    if (wanted === null) expect(() => model.chat(messages)).toThrow(PromptError);
    else expect(model.decode(model.chat(messages))).toBe(wanted);
  });
});
