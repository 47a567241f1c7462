// Every block of the documents has its fate, and what is not run is checked: shell that is shell, commands and scripts that
// exist and know the options, files that are there, JSON that is JSON.
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { describe, expect, it } from "vitest";
import { root } from "../setup.mjs";
import { allBlocks, blocksOf, documents, placeOf } from "./blocks.ts";
import {
  commandsOf,
  faultsOf,
  keyOf,
  missingFiles,
  pythonFault,
  type Question,
  questionOf,
} from "./command-lines.ts";
import { entries, entryOf } from "./fates.ts";
import { executions } from "./shell.ts";

const blocks = allBlocks();
const checked = blocks.filter((block) => entryOf(block).fate === "checked");
const shell = checked.filter(({ language }) => language === "" || language === "sh");
const commands = shell.flatMap((block) =>
  commandsOf(block.text).map((words) => ({ block, words })),
);

const read = (file: string) => readFileSync(join(root, file), "utf8");
/** A function that a block of training.md makes. */
const alias = { train: "training/python/anabranch_training/train.py" };

describe("the blocks", () => {
  it("are read fenced and indented, and one that nobody decided about is refused", () => {
    const page = "# A\n\n```sh\nls\n```\n\n## B\n\n    one\n    two\n\ntext\n    no block\n";
    const read = blocksOf("docs/new.md", page);
    expect(
      read.map(({ line, heading, language, text }) => [line, heading, language, text]),
    ).toEqual([
      [4, "A", "sh", "ls\n"],
      [9, "B", "", "one\ntwo\n"],
    ]);
    for (const block of read) expect(() => entryOf(block)).toThrow("docs/new.md:");
  });

  it("have a fate each, with a reason where they are not run", () => {
    expect(blocks.length).toBeGreaterThan(90);
    for (const block of blocks) {
      const { fate, why } = entryOf(block);
      if (fate === "checked" || fate === "figure") expect(why, placeOf(block)).toMatch(/\w/);
    }
    const used = new Set(blocks.map(entryOf));
    expect(entries.filter((entry) => !used.has(entry))).toEqual([]);
  });
});

describe("what is not run", () => {
  it.each(shell.map((block) => [placeOf(block), block]))("%s is shell", (_, block) => {
    const plain = block.text.replace(/\[(-[^\]]*)\]/g, "$1").replaceAll("|", " ");
    const { status, stderr } = spawnSync("sh", ["-n", "-c", plain], { encoding: "utf8" });
    expect(stderr).toBe("");
    expect(status).toBe(0);
  });

  it("names files that are there, and Python programs with their options", () => {
    const faults = commands.flatMap(({ block, words }) => [
      ...missingFiles(words).map((file) => `${placeOf(block)}: there is no ${file}`),
      ...[pythonFault(words, alias)].filter((fault) => fault !== null),
    ]);
    expect(faults).toEqual([]);
  });

  it("gives commands of ours options that they know", async () => {
    const asked = new Map<string, Question>();
    for (const { words } of commands) {
      const question = questionOf(words);
      if (!question || question.args.length === 0) continue;
      const key = keyOf(question);
      const before = asked.get(key)?.args ?? [];
      // The verb stands there already.
      const more = question.args.slice(before.length > 0 ? key.split(" ").length - 1 : 0);
      asked.set(key, { ...question, args: [...before, ...more] });
    }
    // They take files and a folder, which are checked above.
    for (const command of ["test", "gpu-bundle"]) asked.delete(command);
    expect(asked.size).toBeGreaterThan(12);
    expect(await faultsOf([...asked.values()])).toEqual([]);
  }, 120_000);

  it("has JSON where it says so", () => {
    for (const { language, text } of checked) if (language === "json") JSON.parse(text);
  });

  it("asks wrangler for commands and options that it knows", async () => {
    const asked = new Map(
      commands
        .filter(({ words }) => words[0] === "npx")
        .map(({ words: [, program, ...words] }) => {
          expect(program).toBe("wrangler");
          // After the commands come names of databases and secrets.
          const end = words.findIndex((word) => /^-|^[A-Z]|^anabranch$/.test(word));
          return [words.slice(0, end < 0 ? undefined : end).join(" "), words];
        }),
    );
    expect([...asked.keys()]).toEqual(["d1 create", "d1 migrations apply", "secret put", "deploy"]);
    const wrangler = join(root, "node_modules/wrangler/bin/wrangler.js");
    for (const [command, words] of asked) {
      const args = [wrangler, ...command.split(" "), "--help"];
      const child = spawn(process.execPath, args, {
        cwd: root,
        stdio: ["ignore", "pipe", "ignore"],
      });
      const [help] = await Promise.all([text(child.stdout), once(child, "exit")]);
      expect(help).toContain(`wrangler ${command}`);
      for (const word of words) if (word.startsWith("--")) expect(help).toContain(word);
    }
  }, 120_000);
});

describe("npm run", () => {
  it("has each command that a document names", () => {
    const named = documents.flatMap((file) =>
      [...read(file).matchAll(/npm run ([\w:-]+)/g)].map(([, name = ""]) => name),
    );
    const scripts = Object.keys(JSON.parse(read("package.json")).scripts);
    expect(named.filter((name) => !scripts.includes(name))).toEqual([]);
    expect([...executions.keys(), "hooks"].sort()).toEqual(scripts.sort());
  });

  it("says with --help what each command does", async () => {
    const questions = [...executions.keys()].map((command) => ({ command, args: [] }));
    expect(await faultsOf(questions)).toEqual([]);
  }, 120_000);
});
