// The program as people start it, against a real gateway; in a terminal where that matters.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { stripVTControlCharacters } from "node:util";
import { openTestCluster, type TestCluster } from "@anabranch/gateway/local/test-cluster.ts";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Anabranch } from "../src/index.ts";
import { plain, riverOf } from "./river.ts";

const root = join(import.meta.dirname, "../..");
const main = join(import.meta.dirname, "main.ts");
const question = "Describe Mercury, Earth and Mars. Give each its own section.";

let cluster: TestCluster;
let key: string;
let env: NodeJS.ProcessEnv;
beforeAll(async () => {
  cluster = await openTestCluster();
  await cluster.addWorker("chat");
  key = await cluster.key("chat");
  env = { ...process.env, GATEWAY: cluster.url, KEY: key };
});
afterAll(() => cluster.close());

/** What it writes, as it does. */
class Program {
  readonly child: ChildProcess;
  out = "";
  err = "";
  #changed = Promise.withResolvers<void>();

  constructor(command: string, args: string[], environment = env) {
    this.child = spawn(command, args, { env: environment, stdio: "pipe" });
    const take = (name: "out" | "err") => (text: Buffer) => {
      this[name] += text;
      this.#changed.resolve();
      this.#changed = Promise.withResolvers();
    };
    this.child.on("close", () => this.#changed.resolve());
    this.child.stdout?.on("data", take("out"));
    this.child.stderr?.on("data", take("err"));
  }

  static chat(...args: string[]): Program {
    return new Program(process.execPath, [main, ...args]);
  }

  /** In a terminal of 100 columns. */
  static inTerminal(...args: string[]): Program {
    const words = [process.execPath, main, ...args].map((word) => `'${word}'`);
    const command = `stty cols 100 rows 50; exec ${words.join(" ")}`;
    return new Program("script", ["-qefc", command, "/dev/null"]);
  }

  type(text: string): void {
    this.child.stdin?.write(text);
  }

  /** Until it has written that, after `from` characters. */
  async writes(what: RegExp, from = 0): Promise<void> {
    while (!what.test(stripVTControlCharacters(this.out.slice(from)))) {
      if (this.child.exitCode !== null) throw new Error(`it ended after: ${this.out}`);
      await this.#changed.promise;
    }
  }

  async end(): Promise<number | null> {
    this.child.stdin?.end();
    if (this.child.exitCode === null) await once(this.child, "close");
    return this.child.exitCode;
  }
}

const asked = (fields: object = {}) =>
  new Anabranch({ baseURL: cluster.url, apiKey: key }).answer({
    ...{ model: "anabranch-small", temperature: 0, max_tokens: 512 },
    ...{ messages: [{ role: "user", content: question }], ...fields },
  });

describe("npm run chat", () => {
  it("prints the API's text in document order where there is no terminal, serially too", async () => {
    const program = Program.chat(question);
    expect(await program.end()).toBe(0);
    expect(program.out.trim()).toBe((await asked()).text.trim());
    expect(program.err).toMatch(/\d+ tokens in \d+ steps, [1-9]\d* branches/);
    const serial = Program.chat("--serial", question);
    await serial.end();
    expect(serial.out.trim()).toBe((await asked({ anabranch: { mode: "serial" } })).text.trim());
    expect(serial.err).toMatch(/ 0 branches/);
  });

  it("prints one JSON value, of a race two answers", async () => {
    const program = Program.chat("--json", question);
    await program.end();
    const { text, parts, usage } = JSON.parse(program.out);
    const answer = await asked();
    expect({ text, parts }).toEqual({ text: answer.text, parts: answer.parts });
    expect(usage.anabranch.branches).toBeGreaterThanOrEqual(2);

    const race = Program.chat("--json", "--race", "--max-tokens", "60", question);
    await race.end();
    const { serial, parallel } = JSON.parse(race.out);
    expect([serial.mode, parallel.mode]).toEqual(["serial", "parallel"]);
    expect([serial.cache, parallel.cache]).toEqual(["bypass", "bypass"]);
    expect(serial.usage.anabranch.branches).toBe(0);
    expect(parallel.ms).toBeGreaterThan(0);
  });

  it("goes on from turn to turn, also after one that failed", async () => {
    const program = Program.chat("--max-tokens", "30", "--temperature", "0");
    program.type(`${question}\n${"too long ".repeat(20_000)}\n${question}\n`);
    expect(await program.end()).toBe(0);
    expect(program.err.match(/tokens in/g)).toHaveLength(2);
    expect(program.err).toMatch(/^chat: .*context/m);
  });

  it("takes the key that npm start keeps, and says what to do without one", async () => {
    const state = mkdtempSync(join(tmpdir(), "anabranch-chat-"));
    try {
      const others = { ...env, ANABRANCH_STATE: state, KEY: "" };
      const none = new Program(process.execPath, [main, "?"], others);
      expect(await none.end()).toBe(2);
      expect(none.err).toMatch(/there is no key: name one with --key, or run npm start/);
      writeFileSync(join(state, "start-key.json"), JSON.stringify({ key }));
      const kept = new Program(process.execPath, [main, "--max-tokens", "5", "?"], others);
      expect(await kept.end()).toBe(0);
    } finally {
      rmSync(state, { recursive: true });
    }
    const wrong = Program.chat("--key", "sk-ab-nobody", "?");
    expect(await wrong.end()).toBe(1);
    expect(wrong.err).toMatch(/^chat: .*API key/);
  });
});

describe("in a terminal", () => {
  // Slow enough to be watched, and to be stopped.
  beforeAll(async () => {
    const demo = JSON.parse(readFileSync(join(root, "models/demo/demo.json"), "utf8"));
    await cluster.addWorker("slow", [
      ...["--model", demo.model, "--model-id", "slow", "--threads", "1"],
      ...["--adapter", `branching=${demo.adapter}`],
    ]);
  });

  it("branches stand side by side, and the whole answer at the end", async () => {
    const benefits = "What are the benefits of learning a second language?";
    const asks = ["--race", "--max-tokens", "700", benefits];
    const program = Program.inTerminal("--model", "slow:branching", ...asks);
    expect(await program.end()).toBe(0);
    const shown = stripVTControlCharacters(program.out);
    // While they grow, and closed, in one line.
    expect(shown).toMatch(/▶ .*▶ /);
    expect(shown).toMatch(/■ .*■ /);
    expect(shown).toMatch(/serial [\d.]+ s, in branches [\d.]+ s: [\d.]+ times as many tokens/);
  });

  it("Ctrl-C ends the answer and leaves at the prompt, where it ends the conversation", async () => {
    const program = Program.inTerminal("--model", "slow", "--max-tokens", "2000");
    await program.writes(/> $/);
    program.type("Tell me the history of Rome, century by century.\r");
    // Beyond the echo: the answer's own text.
    await program.writes(/century\.\s+\S/);
    const from = program.out.length;
    program.type("\x03");
    await program.writes(/stopped after[^>]*> $/, from);
    expect(program.child.exitCode).toBe(null);
    program.type("\x03");
    expect(await program.end()).toBe(0);
  });
});

describe("the river", () => {
  const run = (title: string, text: string) => ({
    ...{ lane: 1, stage: 1, title, lead: "", text, logprobs: [], closed: true },
    ...{ reason: null, accepted: true, void: false },
  });

  it("has as many columns as fit, the others below, none wider than the terminal", () => {
    const branches = ["one", "two", "three", "four", "five"].map((title) =>
      run(title, `about ${title} ${"word ".repeat(20)}`),
    );
    const stage = { kind: "stage" as const, stage: 1, branches, outlined: false, declared: false };
    const lines = riverOf([{ ...stage, closed: true }], 70)
      .split("\n")
      .map(stripVTControlCharacters);
    expect(Math.max(...lines.map(({ length }) => length))).toBeLessThanOrEqual(70);
    expect(lines[0]).toMatch(/^■ one +■ two +■ three$/);
    expect(lines.find((line) => line.includes("four"))).toMatch(/■ four +■ five$/);
  });

  it("shows nothing that a model could steer the terminal with", () => {
    expect(plain("a\x1b[2Jb\x1b]0;title\x07c\rd\x9b31me\tf\n")).toBe("abcde\tf\n");
  });
});
