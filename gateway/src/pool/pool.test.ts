import { env } from "cloudflare:workers";
import { beforeEach, describe, expect, it } from "vitest";
import { fakeModel } from "../../test/fake-script.ts";
import {
  adminHeaders,
  bearer,
  call,
  chat,
  type MadeKey,
  makeKey,
  pool,
  poolHeaders,
  register,
} from "../../test/gateway-client.ts";
import { forgetPool } from "./pool-view.ts";

interface Shown {
  id: string;
  healthy: boolean;
  draining: boolean;
  models: string[];
  kv: { free: number; total: number };
}

const shown = async (): Promise<Shown[]> => {
  const response = await call("/admin/v1/pool", { headers: adminHeaders });
  return (await response.json<{ workers: Shown[] }>()).workers;
};

/** Which worker answered, by the usage row. */
const answeredBy = async ({ key, tenant }: MadeKey): Promise<string> => {
  const response = await chat(key, "hi");
  expect(response.status).toBe(200);
  const id = (await response.json<{ id: string }>()).id;
  await call("/v1/usage", { headers: bearer(key) });
  const row = await env.DB.prepare("SELECT worker FROM usage WHERE request_id = ?").bind(id);
  return (await row.first<{ worker: string }>())?.worker ?? `nobody for ${tenant}`;
};

let key: MadeKey;
beforeEach(async () => {
  key = await makeKey("pool");
  for (const { id } of await shown()) await pool.drain({ workerId: id }, { headers: poolHeaders });
  forgetPool();
});

describe("the pool", () => {
  it("takes workers with the pool token only", async () => {
    const registration = { workerId: "x", url: "http://127.0.0.1:1", credential: "x" };
    await expect(pool.register(registration)).rejects.toThrow(/unauthenticated/);
    const headers = bearer(env.ANABRANCH_ADMIN_TOKEN);
    await expect(pool.register(registration, { headers })).rejects.toThrow(/unauthenticated/);
    await expect(pool.heartbeat({ workerId: "x" })).rejects.toThrow(/unauthenticated/);
    await expect(pool.drain({ workerId: "x" })).rejects.toThrow(/unauthenticated/);
  });

  it.each([
    [{ workerId: "", url: "http://a", credential: "c" }],
    [{ workerId: "a", url: "", credential: "c" }],
    [{ workerId: "a", url: "ftp://a", credential: "c" }],
    [{ workerId: "a", url: "http://a", credential: "" }],
  ])("refuses the registration %j", async (registration) => {
    await expect(pool.register(registration, { headers: poolHeaders })).rejects.toThrow(
      /invalid_argument/,
    );
  });

  it("shows each worker with its models and free KV", async () => {
    await register(0, {}, "shown");
    expect((await shown()).find(({ id }) => id === "shown")).toMatchObject({
      healthy: true,
      draining: false,
      models: ["fake"],
      served: [{ id: "fake", base: null, digest: fakeModel.digest, backend: fakeModel.backend }],
      kv: { free: 100, total: 100 },
    });
  });

  it("says the same time of a model's beginning, whichever workers have it", async () => {
    const model = { ...fakeModel, id: "kept" };
    const created = async () => {
      const response = await call("/v1/models/kept", { headers: bearer(key.key) });
      return (await response.json<{ created?: number }>()).created;
    };
    await register(0, {}, "first", model);
    const first = await created();
    expect(first).toBeGreaterThan(1_700_000_000);
    await expect.poll(() => Math.floor(Date.now() / 1_000)).toBeGreaterThan(first ?? 0);
    await register(1, {}, "second", model);
    await pool.drain({ workerId: "first" }, { headers: poolHeaders });
    expect(await created()).toBe(first);
  });

  it("asks a worker that it does not know to register", async () => {
    const call = pool.heartbeat({ workerId: "stranger" }, { headers: poolHeaders });
    expect(await call).toMatchObject({ known: false });
  });

  it("spreads requests over workers that are equally busy", async () => {
    await register(0);
    await register(1);
    const answers = await Promise.all(Array.from({ length: 12 }, () => answeredBy(key)));
    for (const id of ["fake-0", "fake-1"]) {
      expect(answers.filter((each) => each === id).length).toBeGreaterThan(2);
    }
  });

  it("chooses the one that is expected to begin soonest", async () => {
    const stepCosts = { stepMs: 30, laneMs: 4, prefillMs: 1 };
    await register(0, { runningRequests: 2, prefillTokens: 50_000n, stepCosts });
    await register(1, { runningRequests: 9, stepCosts });
    const answers = [await answeredBy(key), await answeredBy(key), await answeredBy(key)];
    expect(answers).toEqual(["fake-1", "fake-1", "fake-1"]);
  });

  it("never chooses a draining one", async () => {
    await register(0, { runningRequests: 9 });
    await register(1);
    await pool.drain({ workerId: "fake-1" }, { headers: poolHeaders });
    forgetPool();
    expect(await answeredBy(key)).toBe("fake-0");
  });

  it("lets the operator drain one, until it registers again", async () => {
    await register(0, { runningRequests: 9 });
    await register(1);
    const drain = (id: string) =>
      call(`/admin/v1/pool/${id}/drain`, { method: "POST", headers: adminHeaders });
    expect((await drain("fake-1")).status).toBe(200);
    await pool.heartbeat({ workerId: "fake-1" }, { headers: poolHeaders });
    forgetPool();
    expect(await answeredBy(key)).toBe("fake-0");
    await register(1);
    forgetPool();
    expect(await answeredBy(key)).toBe("fake-1");
    expect((await drain("nobody")).status).toBe(404);
  });

  it("tries another worker if one can't be reached", async () => {
    const gone = { workerId: "gone", url: "http://127.0.0.1:1", credential: "c" };
    const registration = { ...gone, models: [fakeModel], load: {} };
    await pool.register(registration, { headers: poolHeaders });
    await register(0, { runningRequests: 9 });
    for (let count = 0; count < 3; count++) expect(await answeredBy(key)).toBe("fake-0");
  });

  it("answers 503 if no worker is available, and 404 if no worker has the model", async () => {
    await register(0);
    await pool.drain({ workerId: "fake-0" }, { headers: poolHeaders });
    forgetPool();
    const response = await chat(key.key, "hi");
    expect(response.status).toBe(503);
    expect(response.headers.get("retry-after")).toBe("1");
    expect((await chat(key.key, "hi", { model: "none" })).status).toBe(404);
  });

  it("lists the models of healthy workers", async () => {
    await register(0);
    const response = await call("/v1/models", { headers: bearer(key.key) });
    expect(await response.json()).toMatchObject({
      object: "list",
      data: [{ id: "fake", object: "model", owned_by: "anabranch" }],
    });
    const one = await call("/v1/models/fake", { headers: bearer(key.key) });
    expect(await one.json()).toMatchObject({ id: "fake", object: "model" });
    const samplingDefaults = {
      temperature: 0.6,
      topP: 0.95,
      topK: 20,
      minP: 0,
      repetitionPenalty: 1,
    };
    await register(1, {}, "fake-1", { ...fakeModel, id: "tuned", samplingDefaults });
    const tuned = await call("/v1/models/tuned", { headers: bearer(key.key) });
    expect(await tuned.json()).toMatchObject({
      anabranch: {
        sampling_defaults: {
          ...{ temperature: 0.6, top_p: 0.95, top_k: 20, min_p: 0, repetition_penalty: 1 },
        },
      },
    });
    const none = await call("/v1/models/some/other", { headers: bearer(key.key) });
    expect(none.status).toBe(404);
  });

  it("does not choose a worker that fell silent", async () => {
    await register(0);
    await register(1);
    const beat = setInterval(
      () => pool.heartbeat({ workerId: "fake-1" }, { headers: poolHeaders }),
      300,
    );
    try {
      await new Promise((resolve) => setTimeout(resolve, 2_200));
      const silent = (await shown()).find(({ id }) => id === "fake-0");
      expect(silent).toMatchObject({ healthy: false });
      expect(await answeredBy(key)).toBe("fake-1");
      expect(await answeredBy(key)).toBe("fake-1");
    } finally {
      clearInterval(beat);
    }
  });
});
