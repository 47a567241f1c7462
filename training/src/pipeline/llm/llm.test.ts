import { appendFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type IncomingMessage, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { AnswerPart } from "@anabranch/shared/parts.ts";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { extractCommand } from "../../cli/extract.ts";
import { readRows } from "../jsonl.ts";
import { Journal } from "./journal.ts";
import { isYes, readSpans } from "./reply.ts";
import { unitsOf } from "./units.ts";

/** Two sentences without structure of their own. */
const mars = "Mars is a cold desert with two small moons and very thin air over its red plains.";
const venus = "Venus is a hot world with no moon at all and thick clouds over its rocky plains.";
const text = `${mars}\n${venus}\nThat is all.`;

const groups = (...parts: [string, number, number][]) =>
  JSON.stringify({ groups: [{ parts: parts.map(([title, from, to]) => ({ title, from, to })) }] });
const good = groups(["Mars", 1, 1], ["Venus", 2, 2]);

describe("units", () => {
  const shown = (source: string) =>
    unitsOf(source).map(({ start, end }) => source.slice(start, end));

  it("are lines with the blank lines behind them", () => {
    expect(shown("a\n\n  b\nc")).toEqual(["a\n\n", "  b\n", "c"]);
  });
  it("are sentences of long lines", () => {
    const long = `${"Word ".repeat(40)}one. ${"Word ".repeat(40)}two.`;
    expect(shown(long)).toHaveLength(2);
  });
  it("hold code and tables as a whole", () => {
    expect(shown("See:\n\n```\na\nb\n```\nc")).toEqual(["See:\n\n", "```\na\nb\n```\n", "c"]);
    expect(shown("|a|b|\n|-|-|\n|c|d|\n")).toHaveLength(1);
  });
});

describe("a reply", () => {
  const read = (reply: string) => readSpans(reply, text, unitsOf(text));

  it("names spans of the answer, in fences or after a word", () => {
    for (const reply of [good, `Sure!\n\`\`\`json\n${good}\n\`\`\``]) {
      const { candidates, rejections } = read(reply);
      expect(rejections).toEqual([]);
      expect(candidates[0]?.items.map(({ start, end }) => text.slice(start, end))).toEqual([
        `${mars}\n`,
        `${venus}\n`,
      ]);
    }
  });

  const wrong: Record<string, [string, string]> = {
    "that is no JSON": ["I can't do that.", "the reply is not the JSON asked for"],
    "of one part": [groups(["Mars", 1, 2]), "a group without two parts"],
    "past the end": [groups(["Mars", 1, 1], ["Venus", 2, 9]), "a span outside the answer"],
    "that runs backwards": [groups(["Mars", 2, 1], ["Venus", 2, 2]), "a span outside the answer"],
    "with a gap": [groups(["Mars", 1, 1], ["all", 3, 3]), "spans that are not neighbours"],
    "of fractions": [groups(["Mars", 1, 1.5], ["Venus", 2, 2]), "a span that is not two numbers"],
    "without a title": [groups(["", 1, 1], ["Venus", 2, 2]), "a part without a title"],
    "with a title from elsewhere": [
      groups(["Jupiter rising", 1, 1], ["Venus", 2, 2]),
      "a title that is not from the answer",
    ],
    "with one title twice": [groups(["Mars", 1, 1], ["mars", 2, 2]), "titles are not unique"],
    "that is null": ['{"groups":[null]}', "a group without two parts"],
  };
  for (const [name, [reply, reason]] of Object.entries(wrong)) {
    it(`${name} is refused with its reason`, () => {
      expect(read(reply)).toEqual({ candidates: [], rejections: [reason] });
    });
  }

  it("is a vote only if it says yes", () => {
    expect(["Yes.", "**yes**", "no", "Yesterday", ""].map(isYes)).toEqual([
      true,
      true,
      false,
      false,
      false,
    ]);
  });
});

describe("with an endpoint", () => {
  let folder: string;
  let server: Server;
  /** The endpoint's reply to the nth request. */
  let say: (n: number, body: { messages: { content: string }[]; seed: number }) => Said;
  let reached: { at: number; seed: number; key: string | undefined }[];
  let inFlight: number;
  let maxInFlight: number;

  interface Said {
    status?: number;
    headers?: Record<string, string>;
    content?: string;
  }

  async function bodyOf(request: IncomingMessage) {
    let body = "";
    for await (const chunk of request) body += chunk;
    return JSON.parse(body) as { messages: { content: string }[]; seed: number };
  }

  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), "anabranch-llm-"));
    reached = [];
    inFlight = maxInFlight = 0;
    server = createServer(async (request, response) => {
      maxInFlight = Math.max(maxInFlight, ++inFlight);
      const body = await bodyOf(request);
      const key = request.headers.authorization;
      reached.push({ at: performance.now(), seed: body.seed, key });
      const { status = 200, headers = {}, content = "" } = say(reached.length, body);
      await new Promise((done) => setTimeout(done, 10));
      inFlight--;
      response.writeHead(status, { "content-type": "application/json", ...headers });
      response.end(
        status === 200
          ? JSON.stringify({
              id: "x",
              object: "chat.completion",
              created: 0,
              model: "m",
              choices: [
                { index: 0, finish_reason: "stop", message: { role: "assistant", content } },
              ],
            })
          : JSON.stringify({ error: { message: `refused with ${status}` } }),
      );
    });
    await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  });

  afterEach(async () => {
    await new Promise((done) => server.close(done));
    rmSync(folder, { recursive: true });
  });

  const out = () => join(folder, "out.jsonl");

  async function extract(answers: string[], ...more: string[]) {
    const file = join(folder, "in.jsonl");
    const rows = answers.map((response, i) =>
      JSON.stringify({ id: i, prompt: "Tell me about two planets.", response }),
    );
    writeFileSync(file, rows.join("\n"));
    const { port } = server.address() as AddressInfo;
    const { json } = await extractCommand([
      ...["--in", file, "--out", out(), "--tokenizer", "none", "--min-tokens", "0"],
      ...["--min-gain=-50", "--llm", `http://127.0.0.1:${port}/v1`, "--llm-model", "m"],
      ...more,
    ]);
    return json;
  }

  async function titles(): Promise<string[][]> {
    const out_: string[][] = [];
    for await (const { row } of readRows(out())) {
      const parts = row.parts as AnswerPart[];
      out_.push(parts.flatMap((p) => ("parallel" in p ? p.parallel.map((b) => b.title) : [])));
    }
    return out_;
  }

  it("takes the spans it names and counts those it makes up", async () => {
    say = (_, { seed }) => ({ content: seed === 1 ? groups(["Mars", 1, 1], ["x", 9, 9]) : good });
    const result = await extract([text], "--samples", "3");
    expect(await titles()).toEqual([["Mars", "Venus"]]);
    expect(result.kinds).toEqual({ model: 1 });
    expect(result.roundTripFailures).toBe(0);
    expect(result.llm).toEqual({ requests: 3, rejections: { "a span outside the answer": 1 } });
    expect(reached.map(({ seed }) => seed).sort()).toEqual([0, 1, 2]);
  });

  it("holds what it names against the same rules", async () => {
    say = () => ({ content: groups(["Mars", 1, 1], ["Then", 2, 2]) });
    const result = await extract([`${mars}\nThen ${venus}\nThat is all.`], "--samples", "1");
    expect(result.rejections).toEqual({ "goes on from the one before": 1 });
  });

  it("waits as Retry-After says, and tries again after 429 and 500", async () => {
    say = (n) => {
      if (n === 1) return { status: 429, headers: { "retry-after": "1" } };
      if (n === 2) return { status: 500, headers: { "retry-after-ms": "20" } };
      return { content: good };
    };
    const result = await extract([text], "--samples", "1");
    expect(result.parallel).toBe(1);
    expect(reached).toHaveLength(3);
    expect((reached[1]?.at ?? 0) - (reached[0]?.at ?? 0)).toBeGreaterThan(900);
  });

  it("says which endpoint refused for good, and leaves no output", async () => {
    say = () => ({ status: 401 });
    await expect(extract([text], "--samples", "1")).rejects.toThrow(
      /127\.0\.0\.1.*refused with 401/,
    );
    expect(() => readFileSync(out())).toThrow("ENOENT");
  });

  it("continues without the reply if only this request is refused, and keeps no stage without votes", async () => {
    say = () => ({ status: 400 });
    const result = await extract([text], "--samples", "1");
    expect(result.llm?.rejections).toEqual({ "the endpoint refuses the answer": 1 });
    expect(await titles()).toEqual([[]]);
    say = (n) => (n === 2 ? { content: good } : { status: 413 });
    const unvoted = await extract([text], "--samples", "1", "--votes", "1");
    expect(unvoted.rejections).toEqual({ "the endpoint refuses the vote": 1 });
  });

  it("keeps a stage only if every vote is yes", async () => {
    const judged =
      (no: number) =>
      (n: number, { messages }: { messages: { content: string }[] }) => {
        if (!messages[0]?.content.startsWith("You judge")) return { content: good };
        return { content: n === no ? "no" : "yes" };
      };
    say = judged(-1);
    expect((await extract([text], "--samples", "1", "--votes", "3")).parallel).toBe(1);
    expect(reached).toHaveLength(4);
    reached = [];
    rmSync(`${out()}.journal`);
    say = judged(3);
    const result = await extract([text], "--samples", "1", "--votes", "3");
    expect(result.parallel).toBe(0);
    expect(result.rejections).toEqual({ "voted dependent": 1 });
  });

  it("continues an interrupted run, after a line that was cut short", async () => {
    const answers = Array.from({ length: 6 }, (_, i) => `${text} ${i}`);
    say = (n) => (n > 4 ? { status: 401 } : { content: good });
    await expect(extract(answers, "--samples", "1", "--concurrency", "1")).rejects.toThrow("401");
    appendFileSync(`${out()}.journal`, '{"key":"cut');
    reached = [];
    say = () => ({ content: good });
    const result = await extract(answers, "--samples", "1");
    expect(result).toMatchObject({ answers: 6, parallel: 6 });
    expect(reached).toHaveLength(2);
    reached = [];
    expect((await extract(answers, "--samples", "1")).llm?.requests).toBe(0);
    expect(reached).toHaveLength(0);
  });

  it("works on several answers at a time, in order, within the rate limit", async () => {
    const answers = Array.from({ length: 8 }, (_, i) => `${text} ${i}`);
    say = () => ({ content: good });
    await extract(answers, "--samples", "1", "--concurrency", "4");
    expect(maxInFlight).toBeGreaterThan(1);
    expect(maxInFlight).toBeLessThanOrEqual(5);
    const ids: unknown[] = [];
    for await (const { row } of readRows(out())) ids.push(row.id);
    expect(ids).toEqual(["0", "1", "2", "3", "4", "5", "6", "7"]);
    reached = [];
    rmSync(`${out()}.journal`);
    await extract(answers.slice(0, 3), "--samples", "1", "--per-minute", "600");
    const [first, , third] = reached.map(({ at }) => at);
    expect((third ?? 0) - (first ?? 0)).toBeGreaterThan(180);
  });

  it("sends the key that the environment names", async () => {
    process.env.ANABRANCH_TEST_KEY = "sk-test";
    say = () => ({ content: good });
    await extract([text], "--samples", "1", "--llm-key-env", "ANABRANCH_TEST_KEY");
    expect(reached[0]?.key).toBe("Bearer sk-test");
  });
});

describe("the journal", () => {
  it("keeps replies of any characters over runs", async () => {
    const folder = mkdtempSync(join(tmpdir(), "anabranch-journal-"));
    const path = join(folder, "deep", "journal");
    const journal = await Journal.open(path);
    journal.add("a", "Ä🎨\n\u2028");
    journal.add("b", "second");
    const again = await Journal.open(path);
    expect([again.size, again.get("a"), again.get("b"), again.get("c")]).toEqual([
      2,
      "Ä🎨\n\u2028",
      "second",
      undefined,
    ]);
    again.add("c", "third");
    expect((await Journal.open(path)).get("c")).toBe("third");
    rmSync(folder, { recursive: true });
  });
});
