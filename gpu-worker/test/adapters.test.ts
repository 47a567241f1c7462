// LoRA adapters of one worker: asked for by name, loaded and unloaded while it serves.
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { FinishReason, Mode } from "@anabranch/shared/proto/anabranch/v1/answer_pb.js";
import type { Event } from "@anabranch/shared/proto/anabranch/v1/lane_events_pb.js";
import { Code, ConnectError } from "@connectrpc/connect";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parseAdapter } from "../src/model/adapter-source.ts";
import { WorkerProcess } from "./worker-process.ts";

const path = (relative: string) => fileURLToPath(new URL(relative, import.meta.url));
const [loud, marked] = [path("adapters/loud"), path("adapters/marked")];
const temporary = mkdtempSync(join(tmpdir(), "anabranch-adapters-"));
/** The small model without its dialect. */
const plain = join(temporary, "plain");

let worker: WorkerProcess;
beforeAll(async () => {
  cpSync(path("../../models/small"), plain, { recursive: true });
  rmSync(join(plain, "aspd.json"));
  const adapters = ["--adapter", `loud=${loud}`, "--adapter", `marked=${marked}`];
  worker = await WorkerProcess.start([
    ...["--model", plain, "--model-id", "small", "--device", "cpu", "--threads", "2"],
    ...adapters,
  ]);
});
afterAll(async () => {
  await worker.stop();
  rmSync(temporary, { recursive: true });
});

const options = () => ({ headers: worker.headers });
const prompt = "Compare Tokyo, Paris and Cairo.";

async function answer(
  model: string,
  more: { mode?: Mode; maxTokens?: number; ignoreEos?: boolean } = {},
) {
  const request = {
    ...{ model, mode: Mode.PARALLEL, maxTokens: 100, ...more },
    input: { case: "chat" as const, value: { messages: [{ role: "user", content: prompt }] } },
  };
  const events: Event["event"][] = [];
  for await (const message of worker.client.generate(request, options())) {
    events.push(...message.events.map(({ event }) => event));
  }
  const started = events.find((event) => event.case === "started");
  const finished = events.find((event) => event.case === "finished");
  if (started?.case !== "started" || finished?.case !== "finished") throw new Error("cut off");
  const ids = events.flatMap((event) => (event.case === "delta" ? event.value.tokenIds : []));
  return {
    ids,
    digest: started.value.modelDigest,
    promptTokenIds: started.value.promptTokenIds,
    reason: finished.value.reason,
    usage: finished.value.usage,
  };
}

const codeOf = async (task: Promise<unknown>) =>
  await task.then(
    () => "no error",
    (error) => Code[ConnectError.from(error).code],
  );
const describeModels = async () => (await worker.client.describe({}, options())).models;

describe("a worker with two adapters", () => {
  it("lists them as models of their own", async () => {
    const models = await describeModels();
    expect(models).toMatchObject([
      { id: "small", base: "" },
      { id: "small:loud", base: "small" },
      { id: "small:marked", base: "small", dialect: "aspd" },
    ]);
    expect(new Set(models.map(({ digest }) => digest)).size).toBe(3);
    expect(models[0]?.dialect).not.toBe("aspd");
  });

  it("answers with the model that is asked for", async () => {
    const [base, changed, branching] = await Promise.all(
      ["small", "small:loud", "small:marked"].map((model) => answer(model)),
    );
    expect(changed?.ids).not.toEqual(base?.ids);
    expect(branching?.usage?.branches).toBeGreaterThanOrEqual(2);
    const models = await describeModels();
    expect([base, changed, branching].map((each) => each?.digest)).toEqual(
      models.map(({ digest }) => digest),
    );
    expect(await codeOf(answer("small:none"))).toBe("NotFound");
    expect(await codeOf(answer("loud"))).toBe("NotFound");
  });

  it("resumes an answer with the adapter that began it, and with no other", async () => {
    const whole = await answer("small:loud");
    const { promptTokenIds, digest, ids } = whole;
    const resumed = async (model: string) => {
      const seen: number[] = [];
      const request = {
        ...{ model, mode: Mode.SERIAL, maxTokens: 100 },
        input: { case: "tokens" as const, value: { ids: promptTokenIds } },
        resume: {
          ...{ promptTokenIds, modelDigest: digest },
          lanes: [{ lane: 0, tokenIds: ids.slice(0, 9) }],
        },
      };
      for await (const { events } of worker.client.generate(request, options())) {
        for (const { event } of events) {
          if (event.case === "delta") seen.push(...event.value.tokenIds);
        }
      }
      return seen;
    };
    expect(await resumed("small:loud")).toEqual(ids);
    expect(await codeOf(resumed("small"))).toBe("FailedPrecondition");
    expect(await codeOf(resumed("small:marked"))).toBe("FailedPrecondition");
  });

  it("loads and unloads adapters while it serves, for its gateway only", async () => {
    const serial = { mode: Mode.SERIAL, maxTokens: 700, ignoreEos: true };
    const want = await answer("small:loud", serial);
    const long = Array.from({ length: 4 }, () => answer("small:loud", serial));
    const again = { name: "again", source: loud };
    const { model } = await worker.client.loadAdapter(again, options());
    expect(model).toMatchObject({ id: "small:again", base: "small", digest: want.digest });
    const short = await answer("small:again", { ...serial, maxTokens: 100 });
    expect(short.ids).toEqual(want.ids.slice(0, 100));
    await worker.client.unloadAdapter({ name: "loud" }, options());
    expect(await codeOf(answer("small:loud"))).toBe("NotFound");
    for (const each of await Promise.all(long)) {
      expect(each.reason).toBe(FinishReason.LENGTH);
      expect(each.ids).toEqual(want.ids);
    }
    expect((await describeModels()).map(({ id }) => id).sort()).toEqual([
      ...["small", "small:again", "small:marked"],
    ]);
    await worker.client.unloadAdapter({ name: "again" }, options());
    await worker.client.loadAdapter({ name: "loud", source: loud }, options());

    const call = (request: { name: string; source: string }) =>
      codeOf(worker.client.loadAdapter(request, options()));
    expect(await call({ name: "loud", source: marked })).toBe("AlreadyExists");
    expect(await call({ name: "a:b", source: loud })).toBe("FailedPrecondition");
    expect(await call({ name: "x", source: plain })).toBe("FailedPrecondition");
    expect(await codeOf(worker.client.unloadAdapter({ name: "x" }, options()))).toBe("NotFound");
    expect(await codeOf(worker.client.loadAdapter({ name: "x", source: loud }))).toBe(
      "Unauthenticated",
    );
    expect(await codeOf(worker.client.unloadAdapter({ name: "loud" }))).toBe("Unauthenticated");
  });

  it("has them again after its engine was restarted", async () => {
    const before = await answer("small:loud");
    const extra = { name: "extra", source: marked };
    await worker.client.loadAdapter(extra, options());
    for (const child of worker.children()) process.kill(child, "SIGKILL");
    while ((await codeOf(answer("small"))) !== "no error");
    expect((await answer("small:loud")).ids).toEqual(before.ids);
    expect((await answer("small:extra")).usage?.branches).toBeGreaterThanOrEqual(2);
    await worker.client.unloadAdapter({ name: "extra" }, options());
  });
});

describe("the text of an adapter", () => {
  /** The adapter `loud` with a tokenizer that is the model's but for `change`. */
  function withTokenizer(name: string, change: (tokenizer: { added_tokens: object[] }) => void) {
    const folder = join(temporary, name);
    cpSync(loud, folder, { recursive: true });
    const tokenizer = JSON.parse(readFileSync(join(plain, "tokenizer.json"), "utf8"));
    change(tokenizer);
    writeFileSync(join(folder, "tokenizer.json"), JSON.stringify(tokenizer));
    return folder;
  }
  const refusal = (folder: string) =>
    worker.client.loadAdapter({ name: "text", source: folder }, options());

  it("may have a tokenizer of its own, which may only add tokens that have rows", async () => {
    const same = withTokenizer("same", () => {});
    await worker.client.loadAdapter({ name: "same", source: same }, options());
    expect((await answer("small:same")).ids).toEqual((await answer("small:loud")).ids);
    await worker.client.unloadAdapter({ name: "same" }, options());
    const more = withTokenizer("more", ({ added_tokens }) => {
      added_tokens.push({ ...added_tokens[0], id: 2048, content: "<|more|>" });
    });
    await expect(refusal(more)).rejects.toThrow("2049 tokens");
    const moved = withTokenizer("moved", ({ added_tokens }) => {
      Object.assign(added_tokens[0] ?? {}, { content: "<|other|>" });
    });
    await expect(refusal(moved)).rejects.toThrow("may only add tokens");
  });
});

describe("--adapter", () => {
  it("is NAME=PATH", () => {
    expect(parseAdapter("a.b-1=hf:owner/name")).toEqual({ name: "a.b-1", source: "hf:owner/name" });
    for (const wrong of ["name", "=path", "name=", "a:b=path", "a b=path"]) {
      expect(() => parseAdapter(wrong)).toThrow(/adapter/);
    }
  });

  it("ends the worker with what is wrong", async () => {
    const start = (adapter: string) =>
      WorkerProcess.start(["--model", plain, "--device", "cpu", "--adapter", adapter]);
    await expect(start(`a=${temporary}`)).rejects.toThrow("adapter_config.json");
    await expect(WorkerProcess.start(["--model", loud])).rejects.toThrow("--adapter NAME=");
  });
});
