import { describe, expect, it } from "vitest";
import { bearer, call, chat, events, makeKey, register } from "../../test/gateway-client.ts";
import { classify, threshold, version } from "./classifier.ts";

describe("the classifier", () => {
  it.each([
    "Describe Mercury, Earth and Mars. Give each its own section.",
    "What are some tips for a first marathon?",
    "What are the advantages and disadvantages of remote work?",
    "How to keep houseplants alive during a long vacation?",
  ])("lets the model branch on: %s", (prompt) => {
    expect(classify(prompt).mode).toBe("parallel");
  });

  it.each([
    "What is 5 + 7?",
    "Translate into French: I am tired.",
    "Write a short poem about rain.",
    "Write a Python function that reverses a string.",
  ])("keeps serial: %s", (prompt) => {
    expect(classify(prompt).mode).toBe("serial");
  });

  it("leaves a language that it does not know to the model", () => {
    const { abstains, mode } = classify("여행을 준비할 때 무엇을 챙겨야 하나요?");
    expect({ abstains, mode }).toEqual({ abstains: true, mode: "parallel" });
    expect(classify("What should I pack for a trip?").abstains).toBe(false);
    // Code and notes do without English's small words.
    for (const prompt of [
      "def f(x): return x + 1",
      "npm ERR! code ERESOLVE unable resolve dependency tree",
      "pros/cons electric cars",
    ]) {
      expect(classify(prompt).abstains, prompt).toBe(false);
    }
    expect(classify("Wer hat die Mona Lisa gemalt?").abstains).toBe(true);
  });

  const expectJudgement = (prompt: string) => {
    const { probability, speedup, reasons } = classify(prompt);
    expect(probability).toBeGreaterThanOrEqual(0);
    expect(probability).toBeLessThanOrEqual(1);
    expect(speedup).toBeGreaterThanOrEqual(1);
    expect(reasons.length).toBeLessThanOrEqual(5);
  };

  it("has a judgement of every character, lone surrogates included", () => {
    const block = 0x1000;
    for (let first = 0; first <= 0x10ffff; first += block) {
      const points = Array.from({ length: block }, (_, i) => first + i);
      const text = points.map((point) => String.fromCodePoint(point));
      expectJudgement(text.join(""));
      expectJudgement(`What are ${text.slice(0, 100).join("? ")}`);
    }
  });

  it("has a judgement of a megabyte of anything that repeats", () => {
    const units =
      'a|?|\n|`|```|1. |: |$|\\a{|\ud800|e\u0301|, |A|a A|_|(|{|<a>|"|"a|https://|- |x=1 |how to |each ';
    for (const unit of ["", ...units.split("|")]) {
      for (const length of [1, 4_000, 4_001, 1_000_000]) {
        expectJudgement(unit.repeat(Math.ceil(length / Math.max(1, unit.length))));
      }
    }
  });

  it("reads the beginning and the end of a prompt, and nothing between", () => {
    const ask = "What are some tips for learning to swim?\n";
    const filler = (letter: string) => `${letter} `.repeat(500_000);
    const judged = (letter: string) =>
      classify(`${ask}${"x ".repeat(3_000)}${filler(letter)}${"x ".repeat(3_000)}`);
    expect(judged("a")).toEqual(judged("b"));
  });

  it("names its weights", () => {
    expect(version).toMatch(/^[0-9a-f]{12}$/);
    expect(threshold).toBeGreaterThan(0);
    expect(threshold).toBeLessThan(1);
  });
});

describe("POST /v1/classify", () => {
  const post = (key: string, body: object) =>
    call("/v1/classify", {
      method: "POST",
      headers: { ...bearer(key), "content-type": "application/json" },
      body: JSON.stringify(body),
    });

  it("judges one prompt or many, in order", async () => {
    const { key } = await makeKey("classify");
    const prompts = ["What are some tips for saving money?", "What is 5 + 7?"];
    const many = await (await post(key, { input: prompts })).json<{ data: object[] }>();
    expect(many).toMatchObject({
      ...{ object: "list", version, threshold },
      data: [
        { index: 0, mode: "parallel" },
        { index: 1, mode: "serial" },
      ],
    });
    const one = await (await post(key, { input: prompts[0] })).json<{ data: object[] }>();
    expect(one.data).toEqual([many.data[0]]);
  });

  it("refuses no prompt and too many", async () => {
    const { key } = await makeKey("classify-refused");
    for (const body of [{}, { input: [] }, { input: new Array(257).fill("a") }]) {
      expect((await post(key, body)).status).toBe(400);
    }
  });

  it("counts against a key's requests", async () => {
    const { key } = await makeKey("classify-limited", { rpm: 2 });
    const statuses: number[] = [];
    for (let i = 0; i < 3; i++) statuses.push((await post(key, { input: "hi" })).status);
    expect(statuses).toEqual([200, 200, 429]);
  });
});

describe("a classification in an answer", () => {
  it("is there if it is asked for, whole and streamed", async () => {
    register(0);
    const { key } = await makeKey("classification");
    const asked = { anabranch: { classification: true } };
    const whole = await (await chat(key, "hi", asked)).json<{ anabranch: object }>();
    expect(whole.anabranch).toMatchObject({ classification: { version } });
    const chunks = await events(await chat(key, "hi", { ...asked, stream: true }));
    expect(chunks.filter((chunk) => "anabranch" in chunk)).toMatchObject(
      [whole].map(({ anabranch }) => ({ anabranch })),
    );
    expect(await (await chat(key, "hi")).json()).not.toHaveProperty("anabranch");
  });
});
