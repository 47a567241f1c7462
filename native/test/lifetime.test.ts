// The end of the process, of its threads and of the engine object. Each case runs in a process of its
// own, so that a crash, a hang or an abort shows as an exit status.
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { prompt, small, tiny } from "./answers.ts";

const index = fileURLToPath(new URL("../src/index.ts", import.meta.url));

/** Runs a module that has `openEngine`, `open(onEvents)` and a long request `busy(id)`. */
function run(body: string, flags: string[] = []): Promise<{ status: number | null; out: string }> {
  const source = `
    import { openEngine } from ${JSON.stringify(index)};
    const open = (onEvents = () => {}, options = {}) =>
      openEngine({ model: ${JSON.stringify(small)}, threads: 1, kvMib: 32, ...options }, onEvents);
    const busy = (id) => ({
      id, prompt: ${JSON.stringify(prompt("compare-cities"))}, maxTokens: 900,
      parallel: true, ignoreEos: true,
    });
    const tiny = ${JSON.stringify(tiny)};
    ${body}`;
  return new Promise((resolve) => {
    const child = spawn(
      process.execPath,
      [...flags, "--input-type=module-typescript", "--no-warnings", "--eval", source],
      { stdio: ["ignore", "pipe", "pipe"] },
    );
    let out = "";
    child.stdout.on("data", (chunk) => {
      out += chunk;
    });
    child.stderr.on("data", (chunk) => {
      out += chunk;
    });
    child.on("close", (status, signal) =>
      resolve({ status, out: signal ? `${signal} ${out}` : out }),
    );
  });
}

/** Resolves inside the process once the engine has written a token. */
const firstToken = `
  let resolveToken;
  const token = new Promise((resolve) => { resolveToken = resolve; });
  const onEvents = (events) => {
    for (const list of events.values()) if (list.some((e) => e.kind === "token")) resolveToken();
  };`;

describe("the process ends cleanly", () => {
  const cases: [string, string, string[]?][] = [
    ["with an idle engine that is not closed", `open();`],
    [
      "after the last answer",
      `open((events) => {
         for (const list of events.values())
           for (const e of list) if (e.kind === "finished") console.log("finished");
       }).submit({ ...busy(1), maxTokens: 20 });`,
    ],
    [
      "on exit with live requests",
      `${firstToken}
       const engine = open(onEvents); engine.submit(busy(1)); engine.submit(busy(2));
       await token; process.exit(0);`,
    ],
    [
      "on exit in the middle of the engine's call",
      `
       open(() => process.exit(0)).submit(busy(1));`,
    ],
    [
      "during scoring",
      `
       const engine = open();
       for (let i = 0; i < 8; i++) engine.score([{ serial: new Array(900).fill(5) }], "sum");
       process.exit(0);`,
    ],
    [
      "after closing during scoring",
      `
       const engine = open();
       const scores = Array.from({ length: 8 }, () =>
         engine.score([{ serial: new Array(400).fill(5) }], "sum"));
       engine.close();
       await Promise.allSettled(scores); console.log("finished");`,
    ],
    [
      "after closing twice with live requests",
      `${firstToken}
       const engine = open(onEvents); engine.submit(busy(1)); await token;
       engine.close(); engine.close();`,
    ],
    [
      "after dropping the engine with live requests",
      `${firstToken}
       let engine = open(onEvents, { validate: true }); engine.submit(busy(1)); await token;
       const gone = new Promise((resolve) => new FinalizationRegistry(resolve).register(engine, 0));
       globalThis.keep = gone;
       engine = undefined;
       for (let i = 0; i < 5; i++) { gc(); await new Promise(setImmediate); }
       process.exit(0);`,
      ["--expose-gc"],
    ],
    [
      "after a constructor that threw, many times",
      `
       for (let i = 0; i < 50; i++) {
         try { open(() => {}, { model: "/nowhere" }); console.log("opened"); } catch {}
       }
       open().close();`,
    ],
    [
      "with several engines of two models",
      `
       const engines = [open(), open(), open(() => {}, { model: tiny })];
       engines[0].submit(busy(1)); engines[2].submit({ id: 1, prompt: [4], maxTokens: 100 });
       for (const engine of engines) engine.close();`,
    ],
    [
      "when worker threads with live engines are terminated",
      `
       import { Worker } from "node:worker_threads";
       for (let i = 0; i < 6; i++) {
         const worker = new Worker(\`
           import { parentPort } from "node:worker_threads";
           import { openEngine } from ${JSON.stringify(index)};
           const engine = openEngine({ model: ${JSON.stringify(small)}, threads: 1, kvMib: 32 },
             () => parentPort.postMessage("token"));
           for (let id = 1; id <= 3; id++) engine.submit({
             id, prompt: [5, 6, 7], maxTokens: 900, ignoreEos: true });
           for (let i = 0; i < 4; i++) engine.score([{ serial: new Array(200).fill(5) }], "sum");
         \`, { eval: true, execArgv: ["--input-type=module"] });
         await new Promise((resolve, reject) => {
           worker.once("message", resolve); worker.once("error", reject);
         });
         await worker.terminate();
       }
       open().close(); console.log("finished");`,
    ],
  ];
  it.each(cases)("%s", async (name, body, flags) => {
    const { status, out } = await run(body, flags);
    expect({ status, out }).toEqual({
      status: 0,
      out: body.includes("finished") ? "finished\n" : "",
    });
    expect(name).not.toBe("");
  });
});

describe("closing", () => {
  it("frees all of the engine's memory, even if its object is kept", async () => {
    const { out } = await run(`
      import { readFileSync } from "node:fs";
      const mib = () => /VmData:\\s+(\\d+)/.exec(readFileSync("/proc/self/status", "utf8"))[1] / 1024;
      const before = mib();
      let most = 0;
      const engines = [];
      for (let i = 0; i < 10; i++) {
        engines.push(open(() => {}, { kvMib: 4096 }));
        most = Math.max(most, mib() - before);
        engines[i].close();
      }
      const left = mib() - before;
      console.log(most > 4096 && most < 5120 && left < 1024 ? "given back" : most + " " + left);
      try { engines[0].submit(busy(1)); } catch (error) { console.log(error.message); }`);
    expect(out).toBe("given back\nthe engine is closed\n");
  });
});

describe("an exception in a callback", () => {
  it("is an uncaught exception, not a warning or a crash", async () => {
    const { status, out } = await run(`
      process.on("uncaughtException", (error) => { console.log("uncaught " + error.message); process.exit(7); });
      open(() => { throw new Error("mine"); }).submit(busy(1));`);
    expect({ status, out }).toEqual({ status: 7, out: "uncaught mine\n" });
  });
});
