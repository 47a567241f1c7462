// npm start: the gateway and one worker with a model, by default the demo, until SIGINT or SIGTERM. When both serve it
// prints one line on stdout, `ready {…}`; everything else goes to stderr.
import { spawn } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { secrets } from "../gateway/local/secrets.ts";
import { readCommandLine } from "../shared/src/cli/command.ts";
import { openStateFolder, readState, stateFolder } from "../shared/src/cli/local-gateway.ts";
import { root } from "./setup.mjs";

const help = `npm start [-- --help]

Starts the gateway and one worker with a model, and prints one line on stdout when both serve:
  ready {"gateway": URL, "key": an API key, "admin": the operator's credential, "model": a name}
Where stdout is no terminal the line may end in a log: it has "key_file" and "admin_file" in their place, JSON files in the
state folder, with the key as "key" and the credential as "ANABRANCH_ADMIN_TOKEN".
Everything else goes to stderr, also the address of the console, and a link that signs in to it once. A worker that dies is
started again. SIGINT or SIGTERM stops both, when the answers that run have ended; a second signal stops them at once.

Environment:
  ANABRANCH_PORT    the gateway's port (default 8787; 0: any free one)
  ANABRANCH_STATE   the folder of its database, cache, secrets and key (default .anabranch)
  ANABRANCH_MODEL   the model, as --model of npm run worker (default: the demo, models/demo/demo.json)
  ANABRANCH_ACCESS_LOG      off: the gateway writes no line for each request
  ANABRANCH_DRAIN_SECONDS   how long running answers may take when it stops (default 30)
`;

readCommandLine({ name: "start", help, options: {} });

const state = stateFolder();
const keyFile = join(state, "start-key.json");
const secretsFile = join(state, "secrets.json");
const workerId = "local";
const demo = JSON.parse(readFileSync(join(root, "models/demo/demo.json"), "utf8"));
/** What the worker serves: a model of the caller's, or the demo, the base and its adapter from one copy. */
const modelOptions = process.env.ANABRANCH_MODEL
  ? ["--model", process.env.ANABRANCH_MODEL]
  : [
      ...["--model", demo.model, "--model-id", demo.id],
      ...["--adapter", `${demo.adapterName}=${demo.adapter}`],
      ...["--auto-threshold", String(demo.autoThreshold)],
      ...["--sampling-defaults", JSON.stringify(demo.samplingDefaults)],
    ];
/** A child that has not ended so long after its answers is killed. */
const stopMs = 4_000;
const drainMs = 1_000 * Number(process.env.ANABRANCH_DRAIN_SECONDS || 30);
/** What a gateway takes beside its answers: to report their usage and to end workerd. */
const gatewayStopMs = 10_000;
/** A worker that dies is started again, later each time; one that lived for soundMs begins anew. */
const firstBackoffMs = 250;
const lastBackoffMs = 15_000;
const soundMs = 60_000;

const say = (line) => process.stderr.write(`${line}\n`);
const began = Date.now();

/** name → running child */
const children = new Map();
let stopping = false;
/** A worker has served. */
let served = false;

/** `onExit` takes what ended it. `stderr` as of spawn. */
function start(name, file, args, env, stderr, onExit) {
  const child = spawn(process.execPath, [join(root, file), ...args], {
    cwd: root,
    // The channel tells it when this process ends, however that happens.
    stdio: ["ignore", "pipe", stderr, "ipc"],
    env: { ...process.env, ...env },
    // Of its own group: a terminal's interrupt reaches this process alone, which stops both in order.
    detached: true,
  });
  children.set(name, child);
  child.on("exit", (code, signal) => {
    children.delete(name);
    if (!stopping) onExit(signal ?? `code ${code}`);
  });
  return child;
}

function startGateway() {
  const args = ["--state", state];
  const gateway = start("gateway", "gateway/local/main.ts", args, {}, "pipe", (reason) => {
    say(`the gateway ended on its own (${reason}); stopping`);
    void stop(1);
  });
  createInterface({ input: gateway.stderr }).on("line", (line) => {
    // Until then nobody asks but this process, again and again.
    if (served || !line.startsWith('gateway log: {"event":"request"')) say(line);
  });
  return gateway;
}

/** A worker that can't serve at first will not at the second try. */
function startWorker(gateway, token, backoffMs = firstBackoffMs) {
  const since = Date.now();
  const args = ["--gateway", gateway, ...modelOptions, "--port", "0", "--id", workerId];
  const env = { ANABRANCH_POOL_TOKEN: token };
  const worker = start("worker", "gpu-worker/src/main.ts", args, env, "inherit", (reason) => {
    if (!served) {
      say(`the worker ended before it served (${reason}); stopping`);
      void stop(1);
      return;
    }
    const wait = Date.now() - since > soundMs ? firstBackoffMs : backoffMs;
    say(`the worker ended on its own (${reason}); starting another in ${wait} ms`);
    setTimeout(() => {
      if (stopping) return;
      startWorker(gateway, token, Math.min(2 * wait, lastBackoffMs));
    }, wait);
  });
  worker.stdout.pipe(process.stderr);
}

/** Ends a child that has ended its work, if it runs. */
async function end(name, ms) {
  const child = children.get(name);
  if (!child) return;
  const ended = new Promise((done) => child.once("exit", done));
  child.kill("SIGTERM");
  await Promise.race([ended, sleep(ms)]);
  children.get(name)?.kill("SIGKILL");
}

/** The gateway first: it ends when its answers have ended, for which it needs the worker. */
async function stop(code) {
  if (stopping) {
    for (const child of children.values()) child.kill("SIGKILL");
    process.exit(code);
  }
  stopping = true;
  await end("gateway", drainMs + gatewayStopMs);
  await end("worker", stopMs);
  process.exit(code);
}

for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => void stop(0));

/** The first line of a child's stdout; what follows goes to stderr. */
function firstLine(child) {
  return new Promise((resolve) => {
    let text = "";
    child.stdout.setEncoding("utf8");
    child.stdout.on("data", (more) => {
      const known = text.includes("\n");
      text += more;
      if (known) process.stderr.write(more);
      else if (text.includes("\n")) resolve(text.slice(0, text.indexOf("\n")));
    });
  });
}

async function ask(url, credential, init = {}) {
  const headers = { authorization: `Bearer ${credential}` };
  const response = await fetch(url, { ...init, headers });
  return { status: response.status, body: await response.json() };
}

/** A key without limits, created once and kept. */
async function unlimitedKey(gateway, admin) {
  if (knownKey && (await ask(`${gateway}/v1/models`, knownKey)).status === 200) return knownKey;
  const body = JSON.stringify({ tenant: "local" });
  const made = await ask(`${gateway}/admin/v1/keys`, admin, { method: "POST", body });
  if (made.status !== 200) throw new Error(`no key could be made: ${JSON.stringify(made.body)}`);
  writeFileSync(keyFile, `${JSON.stringify({ key: made.body.key })}\n`, { mode: 0o600 });
  return made.body.key;
}

/** The console's address that signs in once, on this machine, within ten minutes. */
async function signInLink(gateway, admin, key) {
  const init = { method: "POST", body: JSON.stringify({ key }) };
  const { status, body } = await ask(`${gateway}/admin/v1/sign-in`, admin, init);
  if (status !== 200) throw new Error(`no link could be made: ${JSON.stringify(body)}`);
  return `${gateway}/#sign-in=${body.token}`;
}

/**
 * The model to ask, once the worker has registered, which it does when its model is loaded: the demo's adapter,
 * or else the worker's own model.
 */
async function registeredModel(gateway, admin) {
  for (;;) {
    const { body } = await ask(`${gateway}/admin/v1/pool`, admin);
    const worker = body.workers.find(({ id }) => id === workerId);
    if (worker?.healthy && worker.registered_at >= began) {
      return (
        worker.models.find((id) => id === `${demo.id}:${demo.adapterName}`) ?? worker.models[0]
      );
    }
    await sleep(100);
  }
}

let kept, knownKey;
try {
  openStateFolder(state);
  kept = secrets(secretsFile);
  knownKey = readState(keyFile)?.key;
} catch (error) {
  say(`start: ${error.message}`);
  process.exit(1);
}

try {
  say("· starting the gateway");
  const listening = firstLine(startGateway());
  const { gateway } = JSON.parse(await listening);
  say(`  listening at ${gateway}`);
  say(`· starting a worker with ${modelOptions[1]}`);
  startWorker(gateway, kept.ANABRANCH_POOL_TOKEN);
  const admin = kept.ANABRANCH_ADMIN_TOKEN;
  const key = await unlimitedKey(gateway, admin);
  const model = await registeredModel(gateway, admin);
  say(`  up after ${((Date.now() - began) / 1_000).toFixed(1)} s`);
  say(`· the console is at ${gateway}/`);
  say(`  sign in: ${await signInLink(gateway, admin, key)}  (once, within ten minutes)`);
  const credentials = process.stdout.isTTY
    ? { key, admin }
    : { key_file: keyFile, admin_file: secretsFile };
  served = true;
  process.stdout.write(`ready ${JSON.stringify({ gateway, ...credentials, model })}\n`);
} catch (error) {
  if (!stopping) say(`start-up failed: ${error.stack ?? error}`);
  await stop(1);
}
