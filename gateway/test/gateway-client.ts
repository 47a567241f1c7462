// Calls to the gateway from tests inside workerd, as clients, workers and operators make them.
import { env, exports } from "cloudflare:workers";
import { Pool } from "@anabranch/shared/proto/anabranch/v1/pool_pb.js";
import type { ModelInfoSchema } from "@anabranch/shared/proto/anabranch/v1/worker_pb.js";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-web";
import { fakeModel, type Script } from "./fake-script.ts";

const base = "https://gateway.test";

export function call(path: string, init: RequestInit = {}): Promise<Response> {
  return exports.default.fetch(new Request(`${base}${path}`, init));
}

export const pool = createClient(
  Pool,
  createConnectTransport({
    baseUrl: base,
    fetch: (input, init) =>
      exports.default.fetch(
        new Request(input as RequestInfo, { ...init, redirect: "manual" } as RequestInit),
      ),
  }),
);

export const poolHeaders = { authorization: `Bearer ${env.ANABRANCH_POOL_TOKEN}` };
export const adminHeaders = { authorization: `Bearer ${env.ANABRANCH_ADMIN_TOKEN}` };

/** Registers one of the fake workers; with the given load. */
export async function register(
  index: number,
  load: object = {},
  id = `fake-${index}`,
  model: MessageInitShape<typeof ModelInfoSchema> = fakeModel,
) {
  const worker = env.TEST_WORKERS[index];
  if (!worker) throw new Error(`there is no fake worker ${index}`);
  const { url, credential } = worker;
  const registration = { workerId: id, url, credential, models: [model], load };
  return pool.register(registration, { headers: poolHeaders });
}

export interface MadeKey {
  key: string;
  id: string;
  tenant: string;
}

export async function makeKey(
  tenant: string,
  limits: { rpm?: number; tpm?: number; tokens_per_month?: number; cost_per_month?: string } = {},
): Promise<MadeKey> {
  const body = JSON.stringify({ tenant, ...limits });
  const response = await call("/admin/v1/keys", { method: "POST", headers: adminHeaders, body });
  if (!response.ok) throw new Error(await response.text());
  return response.json();
}

export const bearer = (key: string) => ({ authorization: `Bearer ${key}` });

/** A chat request whose prompt is the fake worker's script. */
export function chat(key: string, script: Script | string, fields: object = {}): Promise<Response> {
  const content = typeof script === "string" ? script : JSON.stringify(script);
  const body = { model: "fake", messages: [{ role: "user", content }], ...fields };
  return call("/v1/chat/completions", {
    method: "POST",
    headers: bearer(key),
    body: JSON.stringify(body),
  });
}

/** The data of a stream's events, `[DONE]` left out. */
export async function events(response: Response): Promise<Record<string, unknown>[]> {
  const lines = (await response.text()).split("\n");
  const data = lines.filter((line) => line.startsWith("data: ")).map((line) => line.slice(6));
  if (data.pop() !== "[DONE]") throw new Error("the stream does not end with [DONE]");
  return data.map((text) => JSON.parse(text));
}
