// A model whose files are edited while answers of it are cached.
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { openTestCluster, type TestCluster } from "../local/test-cluster.ts";
import { TemplateModels } from "./model-with-template.ts";

const model = "edited";
const models = new TemplateModels();
const template = (system: string) =>
  `<|im_start|>system\n${system}<|im_end|>\n{% for message in messages %}<|im_start|>{{ message.role }}\n` +
  "{{ message.content }}<|im_end|>\n{% endfor %}<|im_start|>assistant\n";

let cluster: TestCluster;
beforeAll(async () => {
  cluster = await openTestCluster();
}, 60_000);
afterAll(async () => {
  await cluster.close();
  models.remove();
});

it("is asked anew, by an edit of its chat template alone", async () => {
  const folder = models.make(model, template("Be brief."));
  const options = ["--model", folder, "--model-id", model, "--threads", "1"];
  const key = await cluster.key("editor");
  const ask = async () => {
    const response = await fetch(`${cluster.url}/v1/chat/completions`, {
      method: "POST",
      headers: { authorization: `Bearer ${key}` },
      body: JSON.stringify({
        ...{ model, temperature: 0, max_tokens: 12 },
        messages: [{ role: "user", content: "Name three colours." }],
      }),
    });
    const { usage } = (await response.json()) as { usage: { prompt_tokens: number } };
    return { cache: response.headers.get("x-anabranch-cache"), prompt: usage.prompt_tokens };
  };
  const worker = await cluster.addWorker("before", options);
  const first = await ask();
  expect(first.cache).toBe("miss");
  expect(await ask()).toEqual({ cache: "hit", prompt: first.prompt });
  worker.kill("SIGTERM");
  await once(worker, "exit");

  const file = join(folder, "tokenizer_config.json");
  const config = JSON.parse(readFileSync(file, "utf8"));
  writeFileSync(
    file,
    JSON.stringify({ ...config, chat_template: template("Be long, kind and exact.") }),
  );
  await cluster.addWorker("after", options);
  const second = await ask();
  expect(second.cache).toBe("miss");
  expect(second.prompt).toBeGreaterThan(first.prompt);
}, 120_000);
