import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type AnswerPart, textOfParts } from "@anabranch/shared/parts.ts";
import { TokenizeRequestSchema } from "@anabranch/shared/proto/anabranch/v1/worker_pb.js";
import { create } from "@bufbuild/protobuf";
import { afterAll, describe, expect, it, vi } from "vitest";
import { IncrementalText } from "../answer/incremental-text.ts";
import { promptsOf } from "../prompt.ts";
import { idsOfRuns } from "./runs.ts";
import { type Message, TextModel } from "./text-model.ts";

const repository = fileURLToPath(new URL("../../../", import.meta.url));
const model = new TextModel(join(repository, "models/small"));
const markers = ["<|title|>", "<|/title|>", "<|para|>", "<|branch|>", "<|/branch|>", "<|/para|>"];

interface Sample {
  name: string;
  prompt: string;
  response: string;
  parts: AnswerPart[];
  prompt_ids: number[];
  ids: number[];
  lanes: number[];
}
const { samples } = JSON.parse(
  readFileSync(join(repository, "shared/fixtures/pieces.json"), "utf8"),
) as { samples: Sample[] };

const folders: string[] = [];
afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true });
});

/** The demo model's tokenizer with another configuration, and without the files `left`. */
function otherModel(
  change: (config: { chat_template: string }) => void,
  left: string[] = [],
): TextModel {
  const folder = mkdtempSync(join(tmpdir(), "anabranch-test-"));
  folders.push(folder);
  for (const name of ["tokenizer.json", "tokenizer_config.json", "aspd.json"]) {
    if (left.includes(name)) continue;
    const text = readFileSync(join(repository, "models/small", name), "utf8");
    const json = JSON.parse(text);
    if (name === "tokenizer_config.json") change(json);
    writeFileSync(join(folder, name), JSON.stringify(json));
  }
  return new TextModel(folder);
}

const user = (content: string) => [{ role: "user", content }];

/** In the demo's tokenizer the added tokens, markers among them, have the first nine ids. */
const isAdded = (id: number) => id < 9;

const questionOf = ({ prompt }: Sample) =>
  prompt.match(/^<\|im_start\|>user\n([\s\S]*)<\|im_end\|>/)?.[1] ?? "";

describe("a chat prompt", () => {
  it.each(samples)("has the ids that Hugging Face gives it ($name)", (sample) => {
    expect(model.chat(user(questionOf(sample)))).toEqual(sample.prompt_ids);
  });

  it("keeps the text of an added token and cannot forge it", () => {
    const specials = new Set(model.chat(user("x")).filter(isAdded));
    for (const token of [...markers, "<|im_end|>", "<|endoftext|>"]) {
      const ids = model.chat(user(`Say ${token} now ${token}${token}`));
      const plain = model.chat(user("Say now"));
      const count = (list: number[]) => list.filter(isAdded).length;
      expect(count(ids), token).toBe(count(plain));
      expect(ids.filter(isAdded).every((id) => specials.has(id))).toBe(true);
      expect(model.decode(ids)).toContain(`Say ${token} now ${token}${token}`);
    }
  });

  it("cannot be forged by text that only becomes a token when something is taken out of it", () => {
    const ids = model.chat(user("<|tit<|title|>le|> \ue000 0 \ue001 \ue0000\ue001"));
    expect(ids.filter(isAdded)).toEqual(model.chat(user("x")).filter(isAdded));
    expect(model.decode(ids)).toContain("<|tit<|title|>le|> \ue000 0 \ue001 \ue0000\ue001");
  });

  it("with no added token in it is tokenized in one piece", () => {
    const text = "Compare Tokyo, Paris and Cairo.";
    expect(model.chat(user(text)).join(" ")).toContain(model.text(text).join(" "));
  });
});

describe("a conversation", () => {
  const turn = (content: string, parts: AnswerPart[]): Message[] => [
    ...user("Compare two things."),
    { role: "assistant", content, parts },
    ...user("Go on."),
  ];
  const given = (parts: AnswerPart[], of = model) =>
    of.conversation(turn(textOfParts(parts), parts));
  const plain = (parts: AnswerPart[], of = model) => [
    { serial: of.chat(turn(textOfParts(parts), [])) },
  ];
  const stage = (...titles: string[]): AnswerPart => ({
    parallel: titles.map((title) => ({ title, body: `- ${title} is good.\n` })),
  });

  const withBody = (body: string) => (part: AnswerPart) =>
    "serial" in part ? part : { parallel: part.parallel.map(({ title }) => ({ title, body })) };

  it.each(samples)("has the pieces of an answer that is given back ($name)", (sample) => {
    const { response, parts, ids, lanes } = sample;
    const messages = [
      ...user(questionOf(sample)),
      { role: "assistant", content: response, parts },
      ...user("Go on."),
    ];
    const runs = model.conversation(messages);
    // As it was decoded, its end included, and then the template's own next turn.
    expect(idsOfRuns(runs).slice(0, ids.length)).toEqual(ids);
    expect(model.decode(idsOfRuns(runs).slice(ids.length))).toBe(
      "\n<|im_start|>user\nGo on.<|im_end|>\n<|im_start|>assistant\n",
    );
    // Every stage has its plan and its branches in runs of their own.
    const titles = parts.flatMap((part) => ("parallel" in part ? [part.parallel.length] : []));
    expect(runs.map((run) => ("serial" in run ? 0 : run.parallel.length))).toEqual([
      ...titles.flatMap((branches) => [0, 0, branches]),
      0,
    ]);
    const [plan, opened] = [markers.indexOf("<|title|>") + 3, markers.indexOf("<|branch|>") + 3];
    const branchIds = ids.filter((_, at) => lanes[at] !== 0);
    expect(runs.flatMap((run) => ("serial" in run ? [] : run.parallel.flat()))).toEqual(branchIds);
    for (const [at, run] of runs.entries()) {
      if ("serial" in run) continue;
      const before = runs[at - 1];
      expect(before && "serial" in before && before.serial[0]).toBe(plan);
      expect(run.parallel.every(([first]) => first === opened)).toBe(true);
    }
  });

  it("equals chat() if no parts are given", () => {
    const messages = turn("One. Two.", []);
    expect(model.conversation(messages)).toEqual([{ serial: model.chat(messages) }]);
  });

  it("cannot be forged: markers in titles and bodies are ordinary text", () => {
    const evil = "<|para|>";
    const count = (parts: AnswerPart[]) => idsOfRuns(given(parts)).filter(isAdded).length;
    const parts = [stage(`A${evil}`, "B"), { serial: `so ${evil} \ue000` }];
    const runs = given(parts);
    expect(runs.length).toBeGreaterThan(1);
    expect(count(parts)).toBe(count([stage("A", "B"), { serial: "so" }]));
    expect(model.decode(idsOfRuns(runs))).toContain(`- A${evil} is good.`);
  });

  it.each<[string, AnswerPart[]]>([
    ["a title twice", [stage("A", "B", "A")]],
    ["no title", [stage("A", "")]],
    ["one branch", [stage("A"), { serial: "x" }]],
    ["too many branches", [stage(...Array.from({ length: 11 }, (_, i) => `T${i}`))]],
    ["too long a title", [stage("A", "a very long title ".repeat(9))]],
    ["too long a branch", [stage("A", "B", "C", "D")].map(withBody("x ".repeat(600)))],
    ["a stage behind a join", [stage("A", "B"), stage("C", "D")]],
    ["too many stages", Array.from({ length: 9 }, () => [stage("A", "B"), { serial: "x" }]).flat()],
    ["half a character", [stage("A", "B\ud83d")]],
  ])("is plain text where an answer has %s", (_, parts) => {
    expect(given(parts)).toEqual(plain(parts));
  });

  const parts: AnswerPart[] = [{ serial: " Both:\n" }, stage("A", "B"), { serial: "So. " }];

  it("is plain text if the template changes an answer's content", () => {
    const trimming = otherModel((config) => {
      config.chat_template = config.chat_template.replace(
        "message['content']",
        "message['content'] | trim",
      );
    });
    expect(given(parts, trimming)).toEqual(plain(parts, trimming));
    const [, ...rest] = parts;
    expect(given([...rest.slice(0, -1), { serial: "So." }], trimming)).toEqual(
      given([...rest.slice(0, -1), { serial: "So." }]),
    );
    const picky = otherModel((config) => {
      config.chat_template = `{% if 'Both' not in messages[1]['content'] %}{{ raise_exception('no') }}{% endif %}${config.chat_template}`;
    });
    expect(given(parts, picky)).toEqual(plain(parts, picky));
  });

  it("is plain text if the model does not branch", () => {
    const serial = otherModel(() => {}, ["aspd.json"]);
    expect(given(parts, serial)).toEqual(plain(parts, serial));
  });
});

it("a plain prompt's added tokens are ordinary text too", () => {
  expect(model.text("a<|branch|>b").some(isAdded)).toBe(false);
});

describe("an added token that controls nothing", () => {
  /** A tokenizer to which these were added. */
  const withTokens = (texts: string[]) => {
    const folder = mkdtempSync(join(tmpdir(), "anabranch-test-"));
    folders.push(folder);
    const of = (name: string) =>
      JSON.parse(readFileSync(join(repository, "models/small", name), "utf8"));
    const tokenizer = of("tokenizer.json");
    const first = 1 + Math.max(...Object.values<number>(tokenizer.model.vocab));
    const facts = { single_word: false, lstrip: false, rstrip: false, normalized: false };
    tokenizer.added_tokens.push(
      ...texts.map((content, i) => ({ id: first + i, content, special: false, ...facts })),
    );
    const config = of("tokenizer_config.json");
    // As Qwen3's: an earlier answer is shown without its thoughts.
    config.chat_template = config.chat_template.replace(
      "message['content']",
      "message['content'].split('</think>')[-1]",
    );
    writeFileSync(join(folder, "tokenizer.json"), JSON.stringify(tokenizer));
    writeFileSync(join(folder, "tokenizer_config.json"), JSON.stringify(config));
    return new TextModel(folder);
  };

  it("is seen by the template, and kept in a client's text", () => {
    const thinking = withTokens(["<think>", "</think>", "\u00fc"]);
    const asked = (content: string) =>
      thinking.decode(
        thinking.chat([
          { role: "user", content: "f\u00fcr A" },
          { role: "assistant", content },
          { role: "user", content: "C" },
        ]),
      );
    expect(asked("<think>plan</think>B")).toBe(asked("B"));
    expect(asked("B")).toContain("f\u00fcr A");
  });
});

describe("named templates", () => {
  const named = (templates: Record<string, string>) =>
    otherModel((config) => {
      const list = Object.entries(templates).map(([name, template]) => ({ name, template }));
      Object.assign(config, { chat_template: list });
    });
  const own = JSON.parse(
    readFileSync(join(repository, "models/small/tokenizer_config.json"), "utf8"),
  ).chat_template as string;

  it("are chosen by what a request needs", () => {
    const tools = `TOOLS {{ tools | length }} ${own}`;
    const both = named({ default: own, tool_use: tools });
    expect(both.chat(user("Hello"))).toEqual(model.chat(user("Hello")));
    expect(both.decode(both.chat(user("Hello"), [{ type: "function" }]))).toContain("TOOLS 1");
    expect(() => named({ rag: own }).chat(user("Hello"))).toThrow(/no chat template/);
  });
});

it("a missing tokenizer is refused by name", () => {
  const folder = mkdtempSync(join(tmpdir(), "anabranch-test-"));
  writeFileSync(join(folder, "tokenizer.json"), "{");
  expect(() => new TextModel(folder)).toThrow(/tokenizer\.json/);
  rmSync(folder, { recursive: true });
});

it("a chat template writes dates as Python does", () => {
  const formats = ["%d %b %Y", "%A, %B %d, %Y", "%I:%M:%S %p", "%-d.%-m.%y", "%j", "100%%"];
  const dated = otherModel((config) => {
    config.chat_template = `{{ bos_token }}${formats.map((each) => `{{ strftime_now("${each}") }}`).join("|")}|`;
  });
  vi.useFakeTimers({ now: new Date(2026, 2, 7, 15, 4, 5) });
  try {
    expect(dated.decode(dated.chat(user("Hello")))).toContain(
      "07 Mar 2026|Saturday, March 07, 2026|03:04:05 PM|7.3.26|066|100%|",
    );
  } finally {
    vi.useRealTimers();
  }
});

it("a chat template that can't be read is named, and takes chats away alone", () => {
  const broken = otherModel((config) => {
    config.chat_template = "{% if %}";
  });
  const named = /tokenizer_config\.json: the chat template can't be read: /;
  expect(broken.templateFault).toMatch(named);
  expect(() => broken.chat(user("Hello"))).toThrow(named);
  expect(broken.text("Hello")).toEqual(model.text("Hello"));
  expect(model.templateFault).toBeUndefined();
});

/** A model with this tokenizer, whose config names its end token as `end`. */
function modelWith(tokenizer: object, end: unknown = "</s>"): TextModel {
  return new TextModel({
    tokenizer: { version: "1.0", normalizer: null, pre_tokenizer: null, ...tokenizer },
    tokenizerConfig: { bos_token: "<s>", eos_token: end },
    chatTemplate: undefined,
    dialect: undefined,
    generationConfig: {},
    name: "test",
    tokenizerPath: "test",
  });
}

const added = ["<unk>", "<s>", "</s>"].map((content, id) => ({
  ...{ id, content, special: true, single_word: false },
  ...{ lstrip: false, rstrip: false, normalized: false },
}));

describe("a SentencePiece tokenizer", () => {
  const space = "\u2581";
  const tokens = ["<unk>", "<s>", "</s>", space, "a", "b", `${space}a`, `${space}b`, "<0xF0>", "<"];
  const special = { SpecialToken: { id: "<s>", type_id: 0 } };
  const text = { Sequence: { id: "A", type_id: 0 } };
  const llama = modelWith({
    added_tokens: added,
    normalizer: {
      type: "Sequence",
      normalizers: [
        { type: "Prepend", prepend: space },
        { type: "Replace", pattern: { String: " " }, content: space },
      ],
    },
    post_processor: {
      ...{ type: "TemplateProcessing", single: [special, text], pair: [special, text] },
      special_tokens: { "<s>": { id: "<s>", ids: [1], tokens: ["<s>"] } },
    },
    decoder: {
      type: "Sequence",
      decoders: [
        { type: "Replace", pattern: { String: space }, content: " " },
        { type: "ByteFallback" },
        { type: "Fuse" },
        { type: "Strip", content: " ", start: 1, stop: 0 },
      ],
    },
    model: {
      ...{ type: "BPE", unk_token: "<unk>", fuse_unk: true, byte_fallback: true },
      vocab: Object.fromEntries(tokens.map((token, id) => [token, id])),
      merges: [
        [space, "a"],
        [space, "b"],
      ],
    },
  });

  it("begins a text with its start token, whatever the text begins with", () => {
    expect(llama.text("a b")).toEqual([1, 6, 7]);
    const [first, second] = llama.text("<s>a");
    expect(first).toBe(1);
    expect(second).not.toBe(1);
    expect(llama.text("a", true)).toEqual([6]);
  });

  it("keeps the space before the first word that goes on with a text", () => {
    const decode = (ids: readonly number[]) => llama.decode(ids);
    expect(new IncrementalText(decode).push(7)).toBe("b");
    const goingOn = new IncrementalText(decode, llama.text("a"));
    expect([7, 5, 6].map((id) => goingOn.push(id))).toEqual([" b", "b", " a"]);
  });

  it("tells the bytes of each token: of parts of characters, of spaces, of control tokens", () => {
    expect([...llama.bytesOf(8)]).toEqual([0xf0]);
    expect(Buffer.from(llama.bytesOf(7)).toString()).toBe(" b");
    expect(Buffer.from(llama.bytesOf(2)).toString()).toBe("</s>");
    const [part = -1] = model.text("\ud83d\ude80");
    expect([...model.bytesOf(part)]).toEqual([...Buffer.from("\ud83d\ude80")].slice(0, 1));
  });

  it("names the token that ends a text", () => {
    expect(llama.endToken).toBe(2);
    expect(modelWith(llama.files.tokenizer, { content: "</s>" }).endToken).toBe(2);
    expect(modelWith(llama.files.tokenizer, null).endToken).toBeUndefined();
  });
});

it("a Unigram model takes a word of any length", async () => {
  const unigram = modelWith({
    added_tokens: added,
    decoder: { type: "Fuse" },
    post_processor: null,
    model: {
      ...{ type: "Unigram", unk_id: 0, byte_fallback: false },
      vocab: [
        ["<unk>", 0],
        ["<s>", 0],
        ["</s>", 0],
        ["a", -1],
        ["ab", -2],
      ],
    },
  });
  const ask = (value: string) =>
    promptsOf(unigram, create(TokenizeRequestSchema, { input: { case: "text", value } }));
  expect(await ask("abab")).toEqual([[{ serial: [4, 4] }]]);
  const [[run] = []] = await ask("ab".repeat(150_000));
  expect(run && "serial" in run && run.serial).toEqual(Array(150_000).fill(4));
});

describe("incremental text", () => {
  const run = () => new IncrementalText((ids) => model.decode(ids));

  it("adds up to the whole text, whatever the characters", () => {
    const text = "naïve café — 東京 is 37 million 👩‍🔬🚀 people, ½ price\n\n- ok";
    const ids = model.text(text);
    const reader = run();
    const pieces = ids.map((id) => reader.push(id));
    expect(pieces.join("") + reader.end()).toBe(text);
    expect(ids.length).toBeGreaterThan([..."東京👩🚀"].length);
  });

  it("never shows half a character", () => {
    const ids = model.text("東京🚀");
    const reader = run();
    for (const id of ids) expect(reader.push(id)).not.toContain("\ufffd");
  });

  it("lets through what never becomes a character", () => {
    const broken = model.text("🚀").slice(0, -1);
    const reader = run();
    const shown = broken.map((id) => reader.push(id)).join("") + reader.end();
    expect(shown).toContain("\ufffd");
  });
});
