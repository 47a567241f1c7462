import { spawn } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { gitSha1, type HubServer, sha256, startHub } from "../../test/hub-server.ts";
import { locateAdapter } from "../model/adapter.ts";
import { locatePath } from "../model/locate.ts";
import { reportOf } from "../model/report.ts";
import { fetchAdapter, fetchModel } from "./fetch-model.ts";
import { previewModel } from "./preview.ts";
import { parseHubReference } from "./reference.ts";

const commit = "1234567890".repeat(4);
const weights = Buffer.alloc(3_000_000, "weights of a model ");
const shard = (number: number) => `model-0000${number}-of-00002.safetensors`;
const index = JSON.stringify({ weight_map: { a: shard(1), b: shard(2), c: shard(2) } });

let hub: HubServer;
let cache: string;

beforeEach(async () => {
  hub = await startHub({
    "org/plain": {
      commit,
      tags: { "v1.0": commit, "refs/pr/1": commit },
      files: {
        "README.md": "not needed",
        "config.json": '{"model_type": "llama"}',
        "tokenizer.json": `{"padding": "${"x".repeat(2_000)}"}`,
        "chat_template.jinja": "{{ messages }}",
        "model.safetensors": weights,
        "pytorch_model.bin": "not needed",
        "onnx/model.onnx": "not needed",
      },
    },
    "org/sharded": {
      commit,
      files: {
        "config.json": "{}",
        "model.safetensors.index.json": index,
        [shard(1)]: weights,
        [shard(2)]: weights.subarray(1),
      },
    },
    "org/quants": {
      commit,
      files: {
        "m-Q4_0.gguf": weights,
        "m-Q8_0.gguf": weights.subarray(2),
        "mmproj-m.gguf": "not a language model",
        "BF16/m-00001-of-00002.gguf": weights.subarray(3),
        "BF16/m-00002-of-00002.gguf": weights.subarray(4),
        "BF16/aspd.json": "{}",
      },
    },
    "org/lora": {
      commit,
      files: {
        "README.md": "not needed",
        "adapter_config.json": '{"peft_type": "LORA"}',
        "adapter_model.safetensors": weights,
        "aspd.json": "{}",
        "optimizer.pt": "not needed",
      },
    },
    "org/gated": { commit, gated: true, files: { "m.gguf": weights } },
    "org/private": { commit, private: true, files: { "m.gguf": weights } },
    "org/torch": { commit, files: { "config.json": "{}", "pytorch_model.bin": "x" } },
  });
  cache = mkdtempSync(join(tmpdir(), "anabranch-hub-"));
  vi.stubEnv("HF_ENDPOINT", hub.url);
  vi.stubEnv("HF_HUB_CACHE", cache);
  vi.stubEnv("HF_HOME", cache);
  vi.stubEnv("HF_TOKEN", "");
  vi.stubEnv("HF_HUB_OFFLINE", "");
  vi.spyOn(process.stderr, "write").mockReturnValue(true);
});

afterEach(async () => {
  vi.unstubAllEnvs();
  vi.restoreAllMocks();
  await hub.close();
  rmSync(cache, { recursive: true });
});

const fetchOf = (text: string) => fetchModel(parseHubReference(text));
const contents = () => hub.requests.filter((line) => line.startsWith("CONTENT"));
const blobs = (repo: string) => readdirSync(join(cache, `models--org--${repo}`, "blobs"));

describe("a model of the hub", () => {
  it("is fetched into the layout of Hugging Face's own tools, without what it does not need", async () => {
    const model = await fetchOf("hf:org/plain");
    const folder = join(cache, "models--org--plain");
    expect(model.path).toBe(join(folder, "snapshots", commit));
    expect(readdirSync(model.path).sort()).toEqual([
      ...["chat_template.jinja", "config.json", "model.safetensors", "tokenizer.json"],
    ]);
    expect(readFileSync(join(folder, "refs/main"), "utf8")).toBe(commit);
    const blob = `../../blobs/${sha256(weights)}`;
    expect(readlinkSync(join(model.path, "model.safetensors"))).toBe(blob);
    expect(blobs("plain")).toContain(gitSha1('{"model_type": "llama"}'));
    expect(readFileSync(join(model.path, "model.safetensors"))).toEqual(weights);
  });

  it("is not fetched again, and a full commit needs no request at all", async () => {
    await fetchOf("hf:org/plain");
    const before = contents().length;
    expect(before).toBe(4);
    await fetchOf("hf:org/plain@v1.0");
    expect(contents()).toHaveLength(before);
    hub.requests.length = 0;
    await fetchOf(`hf:org/plain@${commit}`);
    expect(hub.requests).toEqual([]);
  });

  it("that is an adapter is fetched as one, and is no model", async () => {
    const { path, files } = await fetchAdapter(parseHubReference("hf:org/lora"));
    expect(files).toEqual(["adapter_config.json", "aspd.json", "adapter_model.safetensors"]);
    expect(readFileSync(join(path, "adapter_model.safetensors"))).toEqual(weights);
    vi.stubEnv("HF_HUB_OFFLINE", "1");
    const again = await locateAdapter({ name: "a", source: "hf:org/lora" });
    expect(again).toEqual({ name: "a", path });
    vi.stubEnv("HF_HUB_OFFLINE", "");
    await expect(fetchOf("hf:org/lora")).rejects.toThrow("--adapter NAME=hf:org/lora");
    const plain = fetchAdapter(parseHubReference("hf:org/plain"));
    await expect(plain).rejects.toThrow("adapter_config.json");
  });

  it("keeps revisions with slashes", async () => {
    await fetchOf("hf:org/plain@refs/pr/1");
    expect(existsSync(join(cache, "models--org--plain/refs/refs/pr/1"))).toBe(true);
  });

  it("of several shards has those that its index names", async () => {
    const { files } = await fetchOf("hf:org/sharded");
    expect(files).toEqual(["config.json", "model.safetensors.index.json", shard(1), shard(2)]);
  });

  it("in GGUF is one file, or all parts of one, with the dialect beside it", async () => {
    const one = await fetchOf("hf:org/quants:m-Q4_0.gguf");
    expect(one).toMatchObject({ format: "gguf", files: ["m-Q4_0.gguf"] });
    const split = await fetchOf("hf:org/quants:BF16/m-00002-of-00002.gguf");
    expect(split.path).toMatch(/BF16\/m-00001-of-00002\.gguf$/);
    expect(split.files).toHaveLength(3);
    await expect(fetchOf("hf:org/quants")).rejects.toThrow(
      /3 GGUF files; name one of\n.+BF16\/m-00001-of-00002\.gguf\n.+m-Q4_0\.gguf\n.+m-Q8_0\.gguf$/,
    );
    await expect(fetchOf("hf:org/quants:m-Q5_0.gguf")).rejects.toThrow(
      /no file m-Q5_0\.gguf; it has/,
    );
  });
});

describe("a download", () => {
  it("goes on where it broke, and where an earlier process stopped", async () => {
    hub.faults.breakAt = { "model.safetensors": [1_000_000] };
    const half = `${join(cache, "models--org--plain/blobs", sha256(weights))}.incomplete`;
    mkdirSync(join(cache, "models--org--plain/blobs"), { recursive: true });
    writeFileSync(half, weights.subarray(0, 500_000));
    const { path } = await fetchOf("hf:org/plain");
    expect(readFileSync(join(path, "model.safetensors"))).toEqual(weights);
    const ranges = contents().filter((line) => line.includes("model.safetensors"));
    const begins = ranges.map((line) => Number(/bytes=(\d+)-$/.exec(line)?.[1]));
    expect(begins).toHaveLength(2);
    expect(begins[0]).toBe(500_000);
    // What the connection had not delivered when it broke is asked for again.
    expect(begins[1]).toBeGreaterThan(500_000);
    expect(existsSync(half)).toBe(false);
  });

  it("goes on from a server that can't resume", async () => {
    hub.faults.breakAt = { "model.safetensors": [1_000_000] };
    hub.faults.noRanges = true;
    const { path } = await fetchOf("hf:org/plain");
    expect(readFileSync(join(path, "model.safetensors"))).toEqual(weights);
  });

  it.each(["model.safetensors", "config.json"])(
    "of %s with another hash is refused and removed",
    async (file) => {
      hub.faults.altered = new Set([file]);
      await expect(fetchOf("hf:org/plain")).rejects.toThrow(
        new RegExp(`${file}: what arrived has the hash .+ removed`),
      );
      expect(blobs("plain").filter((name) => name.endsWith(".incomplete"))).toEqual([]);
      hub.faults.altered.clear();
      await fetchOf("hf:org/plain");
    },
  );

  it("that the disk can't hold is refused before it begins", async () => {
    hub.faults.announced = { "model.safetensors": 1e18 };
    await expect(fetchOf("hf:org/plain")).rejects.toThrow(/full: .+ are needed.+HF_HUB_CACHE/);
  });

  it("by several processes at once brings each file once", async () => {
    const [processes, pages] = [3, 2];
    const command = fileURLToPath(new URL("../cli/models.ts", import.meta.url));
    // The first content is sent when all of them are about to fetch it.
    hub.faults.contentsAfter = new Promise((resolve) => {
      hub.onRequest = () => {
        const trees = hub.requests.filter((line) => line.includes("/tree/"));
        if (trees.length === processes * pages) resolve();
      };
    });
    const runs = Array.from({ length: processes }, async () => {
      const child = spawn(process.execPath, [command, "fetch", "hf:org/sharded", "--json"], {
        stdio: ["ignore", "pipe", "pipe"],
      });
      let [out, errors] = ["", ""];
      child.stdout.on("data", (text) => (out += text));
      child.stderr.on("data", (text) => (errors += text));
      const code = await new Promise((resolve) => child.on("close", resolve));
      expect(code, errors).toBe(0);
      return JSON.parse(out) as { path: string };
    });
    const [first] = await Promise.all(runs);
    expect(readFileSync(join(first?.path ?? "", shard(1)))).toEqual(weights);
    expect(contents().sort()).toEqual([...new Set(contents())].sort());
  });
});

it("a path that leads out of the cache is no file of a repository", async () => {
  const files = { "../../../escaped.gguf": weights };
  hub.repos["org/evil"] = { commit, files };
  await expect(fetchOf("hf:org/evil")).rejects.toThrow(/no model that can be served/);
  await expect(fetchOf("hf:org/evil:../../../escaped.gguf")).rejects.toThrow(/has no file/);
});

describe("access", () => {
  it("uses the token, and shows it to the hub alone", async () => {
    await expect(fetchOf("hf:org/gated")).rejects.toThrow(
      /gated: accept its terms at .+\/org\/gated, then set HF_TOKEN/,
    );
    await expect(fetchOf("hf:org/private")).rejects.toThrow(/not on .+ private: .+HF_TOKEN/);
    vi.stubEnv("HF_TOKEN", hub.token);
    await fetchOf("hf:org/gated");
    await fetchOf("hf:org/private");
    expect(contents().length).toBeGreaterThan(0);
    expect(hub.leaked).toEqual([]);
    vi.stubEnv("HF_TOKEN", "hf_unknown");
    await expect(fetchOf("hf:org/plain")).rejects.toThrow(/refuses the token/);
  });

  it("takes the token that hf auth login stored", async () => {
    writeFileSync(join(cache, "token"), `${hub.token}\n`);
    await fetchOf("hf:org/private");
  });

  it.each([
    ["hf:org/none", /org\/none is not on http.+check its name/],
    ["hf:org/plain@v9", /no such revision; see its branches/],
    ["hf:org/torch", /no model that can be served.+pytorch_model\.bin/],
  ])("to %s is refused with what to do", async (model, message) => {
    await expect(fetchOf(model)).rejects.toThrow(message);
  });

  it.each(["hf:", "hf:name", "hf:a/b/c", "hf:a/b@", "hf:a/b:x.bin", "hf:../b", "hf:a/b@../x"])(
    "by the name %s is refused",
    (model) => {
      expect(() => parseHubReference(model)).toThrow(/write hf:OWNER\/NAME/);
    },
  );
});

describe("a preview", () => {
  const root = new URL("../../../", import.meta.url);
  const read = (path: string) => readFileSync(new URL(path, root));
  const gguf = "native/test/gguf/fixtures/model.gguf";

  it.each([
    ["hf:org/small", "models/small"],
    ["hf:org/small-gguf", gguf],
  ])("of %s has the headers alone, which tell as much as the whole", async (name, path) => {
    const names = [
      "config.json",
      "generation_config.json",
      "tokenizer.json",
      "tokenizer_config.json",
    ];
    const files = [...names, "model.safetensors"].map((file) => [
      file,
      read(`models/small/${file}`),
    ]);
    hub.repos["org/small"] = { commit, files: Object.fromEntries(files) };
    hub.repos["org/small-gguf"] = { commit, files: { "model.gguf": read(gguf) } };
    const preview = await previewModel(parseHubReference(name));
    const here = await reportOf(locatePath(fileURLToPath(new URL(path, root))), 100);
    const there = await reportOf(preview, 100);
    preview.close();
    const { freeBytes: _, path: __, dialect, ...same } = here;
    expect(there).toMatchObject(same);
    expect(existsSync(preview.path)).toBe(false);
    expect(preview.missingBytes).toBeGreaterThan(0);
    const sent = hub.requests.filter((line) => /CONTENT model\./.test(line));
    expect(sent.every((line) => /bytes=\d+-\d+$/.test(line))).toBe(true);
  });

  it("of a model in the cache is the model", async () => {
    const { path } = await fetchOf("hf:org/plain");
    const preview = await previewModel(parseHubReference("hf:org/plain"));
    expect(preview).toMatchObject({ path, missingBytes: 0 });
  });
});

describe("without the hub", () => {
  it("a complete model comes from the cache, offline or if the hub is down", async () => {
    const { path } = await fetchOf("hf:org/sharded");
    vi.stubEnv("HF_HUB_OFFLINE", "1");
    hub.requests.length = 0;
    expect((await fetchOf("hf:org/sharded")).path).toBe(path);
    expect(hub.requests).toEqual([]);
    vi.stubEnv("HF_HUB_OFFLINE", "");
    hub.faults.down = 503;
    expect((await fetchOf("hf:org/sharded")).path).toBe(path);
  });

  it("an incomplete model is refused by name", async () => {
    const { path } = await fetchOf("hf:org/sharded");
    rmSync(join(path, shard(2)));
    vi.stubEnv("HF_HUB_OFFLINE", "1");
    await expect(fetchOf("hf:org/sharded")).rejects.toThrow(/hf:org\/sharded is not, or not compl/);
    vi.stubEnv("HF_HUB_OFFLINE", "");
    vi.stubEnv("HF_ENDPOINT", "http://127.0.0.1:9");
    await expect(fetchOf("hf:org/sharded")).rejects.toThrow(/can't reach http:\/\/127.0.0.1:9/);
  });
});
