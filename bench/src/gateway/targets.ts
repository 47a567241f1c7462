// What is measured: the upstream itself, and gateways in front of it.
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { root } from "@anabranch/gateway/local/bundle.ts";
import { freePort, Program } from "../programs.ts";

/** Where chat requests go. */
export interface Target {
  name: string;
  /** Of /chat/completions. */
  base: string;
  headers: Record<string, string>;
  model: string;
  /** Of the gateway; 0: there is none. */
  peakMiB(): number;
  stop(): Promise<void>;
}

export interface Mock {
  url: string;
  /** When the clients of noted requests left. */
  left(): Promise<Record<string, number>>;
  stop(): Promise<void>;
}

export async function startMock(): Promise<Mock> {
  const program = Program.start(process.execPath, [join(import.meta.dirname, "mock-upstream.ts")]);
  const { url } = await program.firstLine<{ url: string }>();
  return {
    url,
    left: async () => (await (await fetch(`${url}/left`)).json()) as Record<string, number>,
    stop: () => program.stop(),
  };
}

export const direct = (mock: Mock): Target => ({
  ...{ name: "direct", base: `${mock.url}/v1`, headers: {}, model: "mock" },
  peakMiB: () => 0,
  stop: async () => {},
});

/** Our gateway under Miniflare, with the mock as an upstream. */
export async function ours(mock: Mock): Promise<Target> {
  const state = mkdtempSync(join(tmpdir(), "anabranch-bench-"));
  const secret = () => randomBytes(32).toString("base64url");
  const admin = secret();
  const program = Program.start(
    process.execPath,
    [join(root, "gateway/local/main.ts"), "--port", "0", "--state", state],
    {
      ANABRANCH_ADMIN_TOKEN: admin,
      ANABRANCH_KEY_SECRET: secret(),
      ANABRANCH_POOL_TOKEN: secret(),
      ANABRANCH_ACCESS_LOG: "off",
    },
  );
  const { gateway } = await program.firstLine<{ gateway: string }>();
  const call = async (path: string, body: object) => {
    const response = await fetch(`${gateway}/admin/v1${path}`, {
      method: "POST",
      headers: { authorization: `Bearer ${admin}` },
      body: JSON.stringify(body),
    });
    if (!response.ok) throw new Error(`${path}: ${await response.text()}`);
    return (await response.json()) as { key: string };
  };
  await call("/upstreams", { id: "mock", url: `${mock.url}/v1` });
  const { key } = await call("/keys", { tenant: "bench" });
  return {
    ...{ name: "ours", base: `${gateway}/v1`, model: "mock" },
    headers: { authorization: `Bearer ${key}` },
    peakMiB: () => program.peakMiB,
    async stop() {
      await program.stop();
      rmSync(state, { recursive: true, force: true });
    },
  };
}

/** Portkey's gateway; `folder`: where npm has installed @portkey-ai/gateway. */
export async function portkey(mock: Mock, folder: string): Promise<Target> {
  const port = await freePort();
  const main = join(folder, "node_modules/@portkey-ai/gateway/build/start-server.js");
  const program = Program.start(process.execPath, [main, `--port=${port}`, "--headless"]);
  await program.answersAt(`http://127.0.0.1:${port}/`);
  return {
    ...{ name: "portkey", base: `http://127.0.0.1:${port}/v1`, model: "mock" },
    headers: {
      authorization: "Bearer none",
      "x-portkey-provider": "openai",
      "x-portkey-custom-host": `${mock.url}/v1`,
    },
    peakMiB: () => program.peakMiB,
    stop: () => program.stop(),
  };
}

/** LiteLLM's proxy; `command`: the program `litellm`. */
export async function litellm(mock: Mock, command: string): Promise<Target> {
  const folder = mkdtempSync(join(tmpdir(), "anabranch-bench-"));
  const port = await freePort();
  const config = join(folder, "config.yaml");
  const params = `{model: openai/mock, api_base: "${mock.url}/v1", api_key: none}`;
  writeFileSync(config, `model_list:\n  - model_name: mock\n    litellm_params: ${params}\n`);
  // It refuses to start without a key, and ends a stream of a hundred equal events.
  const key = `sk-${randomBytes(16).toString("hex")}`;
  const program = Program.start(
    command,
    ["--config", config, "--port", String(port), "--host", "127.0.0.1"],
    {
      ...{ LITELLM_LOG: "ERROR", LITELLM_MASTER_KEY: key },
      REPEATED_STREAMING_CHUNK_LIMIT: "1000000000",
    },
  );
  await program.answersAt(`http://127.0.0.1:${port}/health/liveliness`);
  return {
    ...{ name: "litellm", base: `http://127.0.0.1:${port}/v1`, model: "mock" },
    headers: { authorization: `Bearer ${key}` },
    peakMiB: () => program.peakMiB,
    async stop() {
      await program.stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
