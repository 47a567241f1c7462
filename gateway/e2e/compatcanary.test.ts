// CompatCanary, a scanner of OpenAI-compatible servers, against the whole system. It sets no max_tokens, so its model is one
// that ends.
import { execFile } from "node:child_process";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, it } from "vitest";
import { openTestCluster, type TestCluster } from "../local/test-cluster.ts";
import { knownTemplate, TemplateModels } from "./model-with-template.ts";

const models = new TemplateModels();
let cluster: TestCluster;
beforeAll(async () => {
  cluster = await openTestCluster();
  const brief = models.brief("brief", knownTemplate("qwen2.5.jinja"));
  await cluster.addWorker("brief", ["--model", brief, "--model-id", "brief", "--threads", "1"]);
}, 180_000);
afterAll(async () => {
  await cluster.close();
  models.remove();
});

const scanner = join(dirname(createRequire(import.meta.url).resolve("compatcanary")), "cli.js");

interface Report {
  score: number;
  results: { id: string; status: string; summary: string }[];
}

it.each(["chat", "modern"])("finds nothing in its profile %s", async (profile) => {
  const { stdout } = await promisify(execFile)(
    process.execPath,
    [
      ...[scanner, "scan", "--base-url", `${cluster.url}/v1`, "--model", "brief"],
      ...["--profile", profile, "--format", "json", "--fail-on", "never"],
    ],
    { env: { ...process.env, OPENAI_API_KEY: await cluster.key(profile) } },
  );
  const { score, results } = JSON.parse(stdout) as Report;
  expect(results.filter(({ status }) => status !== "pass")).toEqual([]);
  expect(score).toBe(100);
});
