// The examples run as they are, against the real gateway and the demo model.
import { execFile, spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { openTestCluster, type TestCluster } from "@anabranch/gateway/local/test-cluster.ts";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

const folder = import.meta.dirname;
const demo = JSON.parse(readFileSync(join(folder, "../models/demo/demo.json"), "utf8"));
const run = promisify(execFile);
const python = process.env.ANABRANCH_PYTHON ?? "python3";
const hasOpenai = spawnSync(python, ["-c", "import openai"]).status === 0;

let cluster: TestCluster;
let env: NodeJS.ProcessEnv;
beforeAll(async () => {
  cluster = await openTestCluster();
  await cluster.addWorker("examples", [
    ...["--model", demo.model, "--model-id", demo.id],
    ...["--adapter", `${demo.adapterName}=${demo.adapter}`],
  ]);
  env = { ...process.env, GATEWAY: cluster.url, KEY: await cluster.key("examples") };
});
afterAll(() => cluster.close());

/** What an example prints. */
async function output(command: string, file: string): Promise<string> {
  return (await run(command, [join(folder, file)], { env })).stdout;
}

describe("the example", () => {
  it("curl.sh streams an answer and its usage", async () => {
    const lines = (await output("sh", "curl.sh")).trim().split("\n");
    expect(lines.at(-1)).toBe("data: [DONE]");
    expect(lines.join("")).toMatch(/"branches":[1-9]/);
  });

  it("openai-sdk.ts prints the answer and its steps", async () => {
    const text = await output(process.execPath, "openai-sdk.ts");
    expect(text).toMatch(/\w[\s\S]*\d+ visible tokens in \d+ steps, [1-9]\d* branches/);
  });

  it.skipIf(!hasOpenai)("openai_sdk.py prints the same in Python", async () => {
    const text = await output(python, "openai_sdk.py");
    expect(text).toMatch(/\w[\s\S]*\d+ visible tokens in \d+ steps/);
  });

  it("declared.ts prints an answer to every question", async () => {
    const text = await output(process.execPath, "declared.ts");
    expect(text).toMatch(
      /^What is Japan known for\?\n {2}.*\S[\s\S]*\nWhat is Egypt known for\?\n {2}.*\S/,
    );
  });

  it("lanes.ts prints branches under their titles", async () => {
    const branches = (await output(process.execPath, "lanes.ts")).match(/^ {2}■ .+$/gm);
    expect(branches?.length).toBeGreaterThan(1);
  });
});
