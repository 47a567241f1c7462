// npm run bench -- newcomer: from a bare clone to an answer that branches in the browser, as README.md says it.
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { openBrowser } from "@anabranch/console/test/browser.ts";
import { columns, type Machine, round, say, thisMachine } from "./report.ts";
import { defineSubject } from "./subject.ts";

const root = join(import.meta.dirname, "../..");
const help = `npm run bench -- newcomer [options]

What a newcomer does, timed part by part: clones this repository into a folder of its own, runs npm start there on a free
port, opens the printed link in Chromium, presses an example of the playground, and waits until three columns grow at the
same time. Needs the browser of the tests (npm test unpacks it, ANABRANCH_BROWSER names another).

  --tree FOLDER   npm start in this tree as it is, instead of a clone
  --json          print one JSON value to stdout
`;

export interface NewcomerFigures {
  machine: Machine;
  /** In order: what was done, and its seconds. */
  parts: { name: string; seconds: number }[];
  seconds: number;
}

/** Seconds of each part, from the times at which they ended. */
export function partsOf(began: number, ends: readonly [name: string, atMs: number][]) {
  return ends.map(([name, at], index) => {
    const before = ends[index - 1]?.[1] ?? began;
    return { name, seconds: round((at - before) / 1_000) };
  });
}

/** The link in what npm start says; the names and ends of its steps go to `ended`. */
async function linkOf(started: ChildProcess, ended: (name: string) => void): Promise<string> {
  if (!started.stderr) throw new Error("no stderr");
  let step = "";
  for await (const line of createInterface({ input: started.stderr })) {
    say(`  ${line}`);
    const [, link] = /sign in: (\S+)/.exec(line) ?? [];
    if (link) return link;
    const [, named] = /^· (.*)/.exec(line) ?? [];
    if (named) step = named;
    if (/^ {2}done in/.test(line)) ended(`npm start: ${step}`);
  }
  throw new Error("npm start ended before it was ready");
}

async function watchColumns(link: string, ended: (name: string) => void): Promise<void> {
  const browser = await openBrowser();
  try {
    const page = await browser.newPage({ viewport: { width: 1280, height: 800 } });
    await page.goto(link);
    await page.getByRole("button", { name: /benefits of learning/ }).click();
    ended("the page is there");
    await page.getByRole("button", { name: "Send" }).click();
    const written = page.locator(".branch.open .branch-text").filter({ hasText: /\S/ });
    await written.nth(2).waitFor({ timeout: 120_000 });
    ended("three columns grow");
  } finally {
    await browser.close();
  }
}

export const subject = defineSubject({
  help,
  options: { tree: { type: "string" } },
  async measure({ tree }): Promise<NewcomerFigures> {
    const folder = mkdtempSync(join(tmpdir(), "anabranch-newcomer-"));
    const began = performance.now();
    const ends: [string, number][] = [];
    const ended = (name: string) => ends.push([name, performance.now()]);
    const clone = tree ?? join(folder, "clone");
    if (tree === undefined) {
      const { status, stderr } = spawnSync("git", ["clone", "--quiet", root, clone]);
      if (status !== 0) throw new Error(`git clone failed: ${stderr}`);
      ended("git clone");
    }
    const state = { ANABRANCH_PORT: "0", ANABRANCH_STATE: join(folder, "state") };
    const started = spawn("npm", ["start"], {
      ...{ cwd: clone, stdio: ["ignore", "ignore", "pipe"], detached: true },
      env: { ...process.env, ...state },
    });
    const over = once(started, "exit");
    try {
      const link = await linkOf(started, ended);
      ended("npm start: the gateway and the worker serve");
      started.stderr?.resume();
      await watchColumns(link, ended);
    } finally {
      // npm passes no signal on to what it runs: its whole group gets it.
      if (started.pid && started.exitCode === null) process.kill(-started.pid, "SIGINT");
      await over;
      rmSync(folder, { recursive: true, force: true });
    }
    const parts = partsOf(began, ends);
    const last = ends.at(-1)?.[1] ?? began;
    return { machine: thisMachine(0), parts, seconds: round((last - began) / 1_000) };
  },
  table({ parts, seconds }) {
    const rows = [...parts, { name: "all", seconds }].map((part) => [`${part.seconds}`, part.name]);
    return `${rows.map(([time = "", name]) => `${columns([[time]])} s  ${name}`).join("\n")}\n`;
  },
});
