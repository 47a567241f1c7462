// The programs in docs/client.md and the requests in README.md run as they stand, against the demo.
import { execFile, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { openTestCluster, type TestCluster } from "@anabranch/gateway/local/test-cluster.ts";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

const root = join(import.meta.dirname, "../..");
const demo = JSON.parse(readFileSync(join(root, "models/demo/demo.json"), "utf8"));
const guide = readFileSync(join(root, "docs/client.md"), "utf8");
const readme = readFileSync(join(root, "README.md"), "utf8");
const requests = [...readme.matchAll(/^```sh\n(curl [\s\S]*?)^```$/gm)].map(
  ([, text = ""]) => text,
);
const python = process.env.ANABRANCH_PYTHON ?? "python3";
const hasOpenai = spawnSync(python, ["-c", "import openai"]).status === 0;

const programs = [...guide.matchAll(/^## (.+)$|^```(ts|python)\n([\s\S]*?)^```$/gm)].reduce(
  ({ heading, found }, [, title, language = "", text = ""]) => ({
    heading: title ?? heading,
    found: title ? found : [...found, { heading, language, text }],
  }),
  { heading: "The beginning", found: [] as { heading: string; language: string; text: string }[] },
).found;

let cluster: TestCluster;
let folder: string;
let env: NodeJS.ProcessEnv;
beforeAll(async () => {
  // Within the repository, where its packages are found.
  mkdirSync(join(root, ".anabranch"), { recursive: true });
  folder = mkdtempSync(join(root, ".anabranch/guide-"));
  cluster = await openTestCluster();
  await cluster.addWorker("guide", [
    ...["--model", demo.model, "--model-id", demo.id],
    ...["--adapter", `${demo.adapterName}=${demo.adapter}`],
  ]);
  const PYTHONPATH = join(root, "client/python");
  env = { ...process.env, PYTHONPATH, GATEWAY: cluster.url, KEY: await cluster.key("guide") };
}, 120_000);
afterAll(async () => {
  rmSync(folder, { recursive: true, force: true });
  await cluster.close();
});

describe("docs/client.md", () => {
  it("has programs", () => {
    expect(programs.length).toBeGreaterThanOrEqual(5);
  });

  for (const { heading, language, text } of programs) {
    it.skipIf(language === "python" && !hasOpenai)(`${heading}: its program runs`, async () => {
      const file = join(folder, language === "ts" ? "program.ts" : "program.py");
      writeFileSync(file, text);
      const command = language === "ts" ? process.execPath : python;
      const { stdout } = await promisify(execFile)(command, [file], { env });
      expect(stdout).toMatch(/\w+\W+\w+/);
    });
  }
});

describe("README.md", () => {
  it("has requests that are answered", async () => {
    expect(requests.length).toBeGreaterThanOrEqual(2);
    for (const request of requests) {
      const here = request.replaceAll("http://127.0.0.1:8787", cluster.url);
      const { stdout } = await promisify(execFile)("sh", ["-c", here], { env });
      expect(stdout).toMatch(/"choices"/);
      expect(stdout).not.toMatch(/"error"/);
    }
  });
});
