import { spawn } from "node:child_process";
import {
  appendFileSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { openTestCluster } from "@anabranch/gateway/local/test-cluster.ts";
import { type AnswerPart, textOfParts } from "@anabranch/shared/parts.ts";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

const script = fileURLToPath(new URL("data.ts", import.meta.url));

interface Ended {
  code: number | null;
  stdout: string;
  stderr: string;
}

/** The command as `npm run data` executes it. */
function data(...args: string[]): Promise<Ended> {
  return new Promise((done) => {
    const child = spawn(process.execPath, [script, ...args]);
    const ended: Ended = { code: null, stdout: "", stderr: "" };
    child.stdout.on("data", (chunk) => (ended.stdout += chunk));
    child.stderr.on("data", (chunk) => (ended.stderr += chunk));
    child.on("close", (code) => done({ ...ended, code }));
  });
}

const body =
  "a color that everybody likes to see on a very cold day in a long winter, when the sun is low and the snow lies deep on every roof in town, and nobody walks along the old river to the harbor before the bells ring twelve times at noon";
const response = `Here are two types:\n\n- **Red**: ${body}.\n- **Blue**: ${body}.\n\nThat is all.`;
const answer = { id: 7, model: "m", category: "c", prompt: "Which colors are there?", response };

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "anabranch-data-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

function file(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

const lines = (path: string) =>
  readFileSync(path, "utf8")
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as Record<string, unknown>);

describe("prompts and answer", () => {
  it("asks a served model every prompt, goes on after an interruption, and extract reads the result", async () => {
    const cluster = await openTestCluster();
    try {
      await cluster.addWorker("one", ["--model", "models/small", "--model-id", "small"]);
      process.env.ANSWER_TEST_KEY = await cluster.key("data");
      const prompts = join(folder, "prompts.jsonl");
      const made = await data("prompts", "--n", "12", "--out", prompts, "--json");
      expect(JSON.parse(made.stdout)).toMatchObject({ prompts: 12 });
      const out = join(folder, "answers.jsonl");
      const ask = (...more: string[]) =>
        data(
          ...["answer", "--in", prompts, "--out", out, "--url", `${cluster.url}/v1`, "--json"],
          ...["--model", "small", "--key-env", "ANSWER_TEST_KEY", "--max-tokens", "20", ...more],
        );
      const first = await ask("--limit", "5", "--mode", "serial");
      expect(JSON.parse(first.stdout)).toMatchObject({ answers: 5, refused: 0 });
      // A run that is killed may leave half a line.
      appendFileSync(out, '{"id": "topic-6", "model": "sm');
      const rest = await ask("--samples", "2");
      expect(JSON.parse(rest.stdout)).toMatchObject({ answers: 2 * 12 - 5 });
      const rows = lines(out);
      const asked = rows.map(({ prompt, sample }) => `${prompt} ${sample}`);
      expect(new Set(asked).size).toBe(24);
      expect(JSON.parse((await ask("--samples", "2")).stdout)).toMatchObject({ answers: 0 });
      const cut = rows.filter(({ finish }) => finish === "length").length;
      expect(cut).toBeGreaterThan(0);
      const parts = await data("extract", "--in", out, "--out", join(folder, "p.jsonl"), "--json");
      expect(JSON.parse(parts.stdout)).toMatchObject({ answers: rows.length - cut });
    } finally {
      await cluster.close();
    }
  });

  it("refuses to mix the answers of two models", async () => {
    const out = file(
      "mixed.jsonl",
      '{"prompt": "p", "sample": 0, "model": "a", "response": "r"}\n',
    );
    const prompts = file("one.jsonl", '{"prompt": "p"}\n');
    const args = ["--in", prompts, "--out", out, "--url", "http://127.0.0.1:9/v1", "--model", "b"];
    const { code, stderr } = await data("answer", ...args);
    expect(code).not.toBe(0);
    expect(stderr).toContain("is an answer of a; name another file with --out");
  });
});

describe("extract", () => {
  it("writes parts, one JSON value and nothing else to stdout, and a report", async () => {
    const input = file("in.jsonl", `${JSON.stringify(answer)}\n{"prompt":"Hi","response":"Hello"}`);
    const out = join(folder, "out.jsonl");
    const report = join(folder, "deep", "report.html");
    const { code, stdout, stderr } = await data(
      ...["extract", "--in", input, "--out", out, "--min-tokens", "0", "--json"],
      ...["--report", report],
    );
    expect([code, stderr]).toEqual([0, expect.stringContaining("answers/s")]);
    const [first, second] = lines(out);
    expect(first).toMatchObject({ ...answer, id: "7" });
    const parts = first?.parts as AnswerPart[];
    expect(textOfParts(parts)).toBe(response);
    expect(parts[1]).toMatchObject({ parallel: [{ title: "Red" }, { title: "Blue" }] });
    expect(second).toEqual({
      ...{ id: "2", model: "unknown", category: "none", prompt: "Hi", response: "Hello" },
      parts: [{ serial: "Hello" }],
    });
    expect(JSON.parse(stdout)).toMatchObject({
      ...{ answers: 2, parallel: 1, ppd: 0.5, stages: 1, abn: 2, roundTripFailures: 0 },
      categories: { c: { answers: 1, ppd: 1 }, none: { ppd: 0 } },
    });
    const page = readFileSync(report, "utf8");
    expect(page.match(/<svg /g)).toHaveLength(4);
    expect(page).not.toMatch(/https?:\/\/(?!www\.w3\.org\/2000\/svg)|<script/);
  });

  it("prints figures to read without --json", async () => {
    const input = file("plain.jsonl", JSON.stringify(answer));
    const { stdout } = await data("extract", "--in", input, "--out", join(folder, "plain.out"));
    expect(stdout).toContain("1 answers, 1 with parallel parts (PPD 100.0%)");
  });

  it("writes rows for training, and each text's serial twin beside them", async () => {
    const input = file("train.jsonl", JSON.stringify(answer));
    const out = join(folder, "train.out.jsonl");
    await data("extract", "--in", input, "--out", out, "--format", "aspd");
    const { prompt } = answer;
    const both = { id: "7/m", family: "c", prompt, response };
    expect(lines(out)).toMatchObject([{ ...both, parallel: true, twin: false }]);
    expect(lines(join(folder, "train.out.twin.jsonl"))).toEqual([
      { ...both, parallel: false, twin: true, parts: [{ serial: response }] },
    ]);
  });

  it("estimates token counts without a tokenizer", async () => {
    const input = file("estimate.jsonl", JSON.stringify(answer));
    const out = join(folder, "estimate.out");
    const { stdout } = await data(
      ...["extract", "--in", input, "--out", out, "--tokenizer", "none", "--json"],
      ...["--min-tokens", String(Math.ceil(response.length / 4) + 1)],
    );
    expect(JSON.parse(stdout).rejections).toEqual({ "a short answer": 1 });
  });

  it("streams: memory does not grow with the file", async () => {
    const input = join(folder, "large.jsonl");
    const row = JSON.stringify({ prompt: "p", response: `${response}\n${"word ".repeat(2_400)}` });
    for (let i = 0; i < 6; i++) appendFileSync(input, `${row}\n`.repeat(1_000));
    expect(statSync(input).size).toBeGreaterThan(64 << 20);
    const { code, stderr } = await new Promise<Ended>((done) => {
      const args = [
        "--max-old-space-size=48",
        script,
        "extract",
        "--in",
        input,
        "--tokenizer=none",
      ];
      const child = spawn(process.execPath, [...args, "--out", join(folder, "large.out")]);
      let stderr = "";
      child.stderr.on("data", (chunk) => (stderr += chunk));
      child.on("close", (code) => done({ code, stdout: "", stderr }));
    });
    expect(stderr).toMatch(/\d+ answers, \d+\/s/);
    expect(code).toBe(0);
  });
});

describe("select", () => {
  const row = (id: number, parts: AnswerPart[], response = textOfParts(parts)) =>
    JSON.stringify({ id: `${id}/m`, prompt: `Question ${id}?`, response, parts });
  const branched = (id: number) =>
    row(id, [{ parallel: [1, 2].map((i) => ({ title: `T${i}`, body: `Item ${i} of ${id}.` })) }]);
  const plain = (id: number, text = `One answer, number ${id}.`) => row(id, [{ serial: text }]);

  it("takes rows with parts and a share without, leaves out what no model should learn, holds some out", async () => {
    const parallel = file(
      "select.parallel.jsonl",
      [...Array.from({ length: 12 }, (_, i) => branched(i)), branched(3), plain(90)].join("\n"),
    );
    const serial = file(
      "select.serial.jsonl",
      [
        ...Array.from({ length: 20 }, (_, i) => plain(i + 10)),
        plain(100, "As an AI language model, I have no opinion."),
        plain(101, "It is cold in the north.\nIt is cold in the north."),
        plain(102, `It is ${"very ".repeat(50)}cold.`),
        branched(103),
      ].join("\n"),
    );
    const out = join(folder, "select.train.jsonl");
    const heldout = join(folder, "select.heldout.jsonl");
    const select = (seed: string) =>
      data(
        ...["select", "--parallel", parallel, "--serial", serial, "--out", out, "--json"],
        ...["--heldout", heldout, "--heldout-rows", "4", "--serial-share", "0.4"],
        ...["--max-characters", "200", "--seed", seed],
      );
    expect(JSON.parse((await select("1")).stdout)).toEqual({
      ...{ parallel: 12, serial: 8, heldout: 4 },
      left_out: {
        // Once among the rows with parts; twice a prompt of these.
        "a second answer to a prompt": 3,
        "speaks of its writer": 1,
        "sentences come twice": 1,
        "longer than --max-characters": 1,
      },
    });
    const prompts = [...lines(out), ...lines(heldout)].map(({ prompt }) => prompt);
    expect([lines(out).length, new Set(prompts).size]).toEqual([16, 20]);
    const first = readFileSync(out, "utf8");
    await select("1");
    expect(readFileSync(out, "utf8")).toBe(first);
    await select("2");
    expect(readFileSync(out, "utf8")).not.toBe(first);
  });

  it("refuses to hold everything out", async () => {
    const parallel = file("select.few.jsonl", branched(1));
    const { code, stderr } = await data(
      ...[
        "select",
        "--parallel",
        parallel,
        "--out",
        join(folder, "o"),
        "--heldout",
        join(folder, "h"),
      ],
    );
    expect([code, stderr]).toEqual([1, expect.stringContaining("1 rows are left")]);
  });
});

describe("outline", () => {
  const listed = (id: number) => {
    const items = Array.from(
      { length: 8 },
      (_, i) => `${i + 1}. **Kind ${id} ${"abcdefgh"[i]}**: ${body}.`,
    );
    const response = `Here are some kinds:\n\n${items.join("\n\n")}\n\nThat is all.`;
    return JSON.stringify({ prompt: `Which kinds of ${id} are there?`, response });
  };

  it("fits thresholds that let more pass the more shall be kept", async () => {
    const input = file("lists.jsonl", Array.from({ length: 10 }, (_, i) => listed(i)).join("\n"));
    const fit = async (keep: string) =>
      JSON.parse(
        (
          await data(
            ...["outline", "--in", input, "--model", "models/small", "--keep", keep],
            ...["--limit", "9", "--threads", "1", "--json"],
          )
        ).stdout,
      );
    const [most, half] = [await fit("0.98"), await fit("0.5")];
    expect(most).toMatchObject({ answers: 9, items: 63 });
    expect(most.continue).toBeLessThanOrEqual(half.continue);
    expect(most.surprise).toBeGreaterThan(half.surprise);
    expect(most.marks["0.01"]).toBe(most.continue);
  });

  it("needs lists", async () => {
    const input = file("no-lists.jsonl", '{"prompt":"Hi","response":"Hello"}');
    const { code, stderr } = await data("outline", "--in", input, "--model", "models/small");
    expect([code, stderr]).toEqual([
      1,
      expect.stringContaining("has 0 items of such lists; 50 are"),
    ]);
  });
});

describe("sample", () => {
  it("prints the stages of a file, the same for the same seed", async () => {
    const rows = Array.from({ length: 20 }, (_, i) => JSON.stringify({ ...answer, id: i }));
    const out = join(folder, "many.out");
    await data("extract", "--in", file("many.jsonl", rows.join("\n")), "--out", out);
    const draw = (seed: string) => data("sample", "--in", out, "--n", "5", "--seed", seed);
    const [one, again, other] = await Promise.all([draw("1"), draw("1"), draw("2")]);
    expect(one.stdout).toBe(again.stdout);
    expect(one.stdout).not.toBe(other.stdout);
    expect(one.stdout.match(/^\d+\. \d+ m part 1$/gm)).toHaveLength(5);
    expect(one.stdout).toContain("  [Red] - **Red**: a color");
    const { stdout } = await data("sample", "--in", out, "--n", "100", "--json");
    expect(JSON.parse(stdout)).toHaveLength(20);
  });

  it("refuses a file without parts", async () => {
    const { code, stderr } = await data("sample", "--in", file("none.jsonl", '{"id":1}'));
    expect([code, stderr]).toEqual([1, expect.stringMatching(/none\.jsonl, line 1: no "parts"/)]);
  });
});

describe("generate", () => {
  it("writes tasks", async () => {
    const out = join(folder, "tasks.jsonl");
    const { stdout } = await data("generate", "--n", "12", "--out", out, "--json");
    expect(JSON.parse(stdout).rows).toBe(12);
    expect(lines(out)).toHaveLength(12);
  });

  it("writes tasks of one family alone", async () => {
    const out = join(folder, "serial.jsonl");
    const args = ["--n", "12", "--out", out, "--json"];
    const { stdout } = await data("generate", "--family", "serial", ...args);
    expect(JSON.parse(stdout)).toMatchObject({ parallel: 0, families: { serial: 12 } });
    const { code, stderr } = await data("generate", "--family", "serial", "--repeat", ...args);
    expect([code, stderr]).toEqual([2, expect.stringMatching(/give one of them/)]);
  });
});

describe("bad input", () => {
  const good = JSON.stringify(answer);
  const files: Record<string, [string, RegExp]> = {
    "a broken line": [`${good}\n{"prompt":`, /line 2: /],
    "a missing field": ['{"prompt":"p"}', /line 1: no "response"/],
    "a field that is no string": [
      `${good}\n\n{"prompt":1,"response":"r"}`,
      /line 3: "prompt" is not a string/,
    ],
    "a line that is no object": ["[1]", /line 1: not a JSON object/],
    "an empty file": ["\n \n", /holds no rows/],
  };
  for (const [name, [text, message]] of Object.entries(files)) {
    it(`${name} is named with its file and line, and nothing is written`, async () => {
      const out = join(folder, "bad.out");
      const { code, stdout, stderr } = await data(
        ...["extract", "--in", file("bad.jsonl", text), "--out", out, "--json"],
      );
      expect([code, stdout]).toEqual([1, ""]);
      expect(stderr).toContain("bad.jsonl");
      expect(stderr).toMatch(message);
      expect(existsSync(out) || existsSync(`${out}.part`)).toBe(false);
    });
  }

  it("a file that is not there, or can't be written, is named", async () => {
    const missing = join(folder, "missing.jsonl");
    const out = join(folder, "x.out");
    expect((await data("extract", "--in", missing, "--out", out)).stderr).toContain(missing);
    const input = file("ok.jsonl", good);
    const inside = join(input, "no-folder.out");
    const { code, stderr } = await data("extract", "--in", input, "--out", inside);
    expect([code, stderr]).toEqual([1, expect.stringContaining("ok.jsonl")]);
  });

  const commands: Record<string, [string[], RegExp]> = {
    "no verb": [[], /VERB/],
    "an unknown verb": [["toString"], /VERB/],
    "no --in": [["extract", "--out", "x"], /--in is needed/],
    "an unknown option": [["extract", "--nonsense"], /--nonsense/],
    "a number that is none": [["sample", "--in", "x", "--n", "many"], /--n takes a whole number/],
    "a format that is none": [
      ["extract", "--in", "x", "--out", "y", "--format", "z"],
      /--format takes/,
    ],
    "votes without a model": [
      ["extract", "--in", "x", "--out", "y", "--votes", "3"],
      /--votes needs --llm/,
    ],
    "a result in the place of the answers": [
      ["extract", "--in", "x", "--out", "y/../x"],
      /--out is the file of --in/,
    ],
    "rows in the place of those they are chosen from": [
      ["select", "--parallel", "x", "--out", "x", "--heldout", "y"],
      /--out is the file of --parallel/,
    ],
    "held-out rows in the place of the others": [
      ["select", "--parallel", "x", "--out", "y", "--heldout", "y"],
      /--heldout is the file of --out/,
    ],
    "likelihood without a model": [
      ["extract", "--in", "x", "--out", "y", "--likelihood"],
      /--model is needed/,
    ],
  };
  for (const [name, [args, message]] of Object.entries(commands)) {
    it(`${name} is a usage error`, async () => {
      const { code, stdout, stderr } = await data(...args);
      expect([code, stdout]).toEqual([2, ""]);
      expect(stderr).toMatch(message);
    });
  }

  it("and a tokenizer that is not there is named", async () => {
    const args = ["extract", "--in", file("t.jsonl", good), "--out", join(folder, "t.out")];
    const { code, stderr } = await data(...args, "--tokenizer", "/nowhere");
    expect([code, stderr]).toEqual([1, expect.stringContaining("/nowhere/tokenizer.json")]);
  });
});

it("every verb has help", async () => {
  for (const args of [
    ["--help"],
    ["generate", "--help"],
    ["extract", "-h"],
    ["select", "--help"],
    ["outline", "--help"],
    ["sample", "--help"],
  ]) {
    const { code, stdout } = await data(...args);
    expect([code, stdout]).toEqual([0, expect.stringContaining("npm run data -- ")]);
  }
});
