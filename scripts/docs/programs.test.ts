// The programs and requests of the documents run as they stand, against the demo.
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { openTestCluster, type TestCluster } from "@anabranch/gateway/local/test-cluster.ts";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { root } from "../setup.mjs";
import { allBlocks, type Block, placeOf } from "./blocks.ts";
import { entryOf } from "./fates.ts";
import { runBlock } from "./shell.ts";

const demo = JSON.parse(readFileSync(join(root, "models/demo/demo.json"), "utf8"));
const python = process.env.ANABRANCH_PYTHON ?? "python3";
const hasOpenai = spawnSync(python, ["-c", "import openai"]).status === 0;
const blocks = allBlocks();
const fated = (fate: "program" | "request") => blocks.filter((each) => entryOf(each).fate === fate);

/**
 * Pages about requests show only what they are about: their pieces in order are one program, between what the reader has
 * (`draw` stands for a program's own drawing) and the printing of what it shows.
 */
const having = `
import Anthropic from "@anthropic-ai/sdk";
import OpenAI from "openai";
const { GATEWAY, KEY: apiKey } = process.env;
const openai = new OpenAI({ baseURL: GATEWAY + "/v1", apiKey });
const draw = () => {};
`;
const printing: Record<string, string> = {
  "docs/api.md": "console.log(message.content[0].text);",
  "docs/protocol.md": "console.log(answer.text);",
  "docs/structured.md": "console.log(JSON.stringify(author));",
};

interface Program {
  place: string;
  language: string;
  text: string;
}

const programs: Program[] = [];
for (const block of fated("program")) {
  const { file, language, text } = block;
  const print = printing[file];
  const last = programs.at(-1);
  if (print === undefined) programs.push({ place: placeOf(block), language, text });
  else if (last?.place === file) last.text = last.text.replace(print, `${text}${print}`);
  else programs.push({ place: file, language, text: `${having}${text}${print}` });
}

let cluster: TestCluster;
let folder: string;
let env: NodeJS.ProcessEnv;
beforeAll(async () => {
  // Within the repository, where its packages are found.
  mkdirSync(join(root, ".anabranch"), { recursive: true });
  folder = mkdtempSync(join(root, ".anabranch/docs-"));
  cluster = await openTestCluster();
  await cluster.addWorker("docs", [
    ...["--model", demo.model, "--model-id", demo.id],
    ...["--adapter", `${demo.adapterName}=${demo.adapter}`],
  ]);
  const PYTHONPATH = join(root, "client/python");
  env = { ...process.env, PYTHONPATH, GATEWAY: cluster.url, KEY: await cluster.key("docs") };
}, 120_000);
afterAll(async () => {
  rmSync(folder, { recursive: true, force: true });
  await cluster.close();
});

/** The same at this test's gateway. */
const here = (text: string) =>
  text.replaceAll(/http:\/\/(127\.0\.0\.1|localhost):8787/g, cluster.url);

describe("a program", () => {
  for (const { place, language, text } of programs) {
    it.skipIf(language === "python" && !hasOpenai)(`${place} runs`, async () => {
      const file = join(folder, language === "python" ? "program.py" : "program.ts");
      writeFileSync(file, here(text));
      const command = language === "python" ? python : process.execPath;
      const { stdout } = await runBlock(`'${command}' '${file}'`, env);
      expect(stdout).toMatch(/\w+\W+\w+/);
    });
  }
});

/** A request's body alone is one that chats take. */
const asCommand = ({ language, text }: Block): string =>
  language === "json"
    ? `curl -s "$GATEWAY/v1/chat/completions" -H "authorization: Bearer $KEY" -d @- <<'BODY'\n${text}BODY\n`
    : here(text);

describe("a request", () => {
  for (const block of fated("request")) {
    it(`${placeOf(block)} is answered`, async () => {
      const { stdout } = await runBlock(asCommand(block), env);
      expect(stdout).toMatch(/"choices"/);
      expect(stdout).not.toMatch(/"error"/);
    });
  }
});
