// The worker as its gateway meets it: real processes, the real demo model.

import { cpSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  FinishReason,
  Mode,
  type SamplingSchema,
} from "@anabranch/shared/proto/anabranch/v1/answer_pb.js";
import type { Event } from "@anabranch/shared/proto/anabranch/v1/lane_events_pb.js";
import type {
  ChatMessageSchema,
  GenerateRequestSchema,
  ResumeSchema,
} from "@anabranch/shared/proto/anabranch/v1/worker_pb.js";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { spellDialect } from "../src/model/spell.ts";
import { TextModel } from "../src/model/text-model.ts";
import { smallModel, WorkerProcess } from "./worker-process.ts";

let worker: WorkerProcess;
beforeAll(async () => {
  worker = await WorkerProcess.start();
});
afterAll(async () => {
  await worker.stop();
});

const question = "Compare Tokyo, Paris and Cairo.";

interface Asked {
  model?: string;
  content?: string;
  mode?: Mode;
  maxTokens?: number;
  stop?: string[];
  ignoreEos?: boolean;
}

const ask = (
  asked: Asked = {},
  options: { signal?: AbortSignal; headers?: Record<string, string> } = {},
) =>
  worker.client.generate(
    {
      model: asked.model ?? "anabranch-small",
      input: {
        case: "chat",
        value: { messages: [{ role: "user", content: asked.content ?? question }] },
      },
      mode: asked.mode ?? Mode.PARALLEL,
      maxTokens: asked.maxTokens ?? 400,
      stop: asked.stop ?? [],
      ignoreEos: asked.ignoreEos ?? false,
    },
    { headers: worker.headers, ...options },
  );

async function all(stream: AsyncIterable<{ events: Event[] }>): Promise<Event["event"][]> {
  const out: Event["event"][] = [];
  for await (const { events } of stream) out.push(...events.map(({ event }) => event));
  return out;
}

async function refusal(stream: AsyncIterable<unknown>): Promise<ConnectError> {
  try {
    for await (const _ of stream);
  } catch (error) {
    return ConnectError.from(error);
  }
  throw new Error("it was not refused");
}

/** The load once no request is left, however long that takes within the test's time. */
async function settled() {
  while (true) {
    const { load } = await worker.client.describe({}, { headers: worker.headers });
    if (load?.runningRequests === 0 && load.queuedRequests === 0) return load;
  }
}

/** Text by lane, and in document order. */
function read(events: Event["event"][]) {
  const order: number[] = [0];
  const runs: { lane: number; text: string }[] = [{ lane: 0, text: "" }];
  for (const event of events) {
    if (event.case === "stageOpened") {
      for (const lane of event.value.lanes) runs.push({ lane, text: "" });
      order.push(...event.value.lanes);
    }
    if (event.case === "stageClosed") runs.push({ lane: 0, text: "" });
    if (event.case !== "delta") continue;
    const run = runs.findLast(({ lane }) => lane === event.value.lane);
    if (run) run.text += event.value.text;
  }
  return { text: runs.map(({ text }) => text).join(""), runs };
}

const startOf = (events: Event["event"][]) => {
  const started = events.find((event) => event.case === "started");
  if (started?.case !== "started") throw new Error("no start");
  return started.value;
};

/** An answer's events, message by message. */
const messages = async (asked: MessageInitShape<typeof GenerateRequestSchema>) => {
  const out: Event["event"][][] = [];
  for await (const { events } of worker.client.generate(asked, { headers: worker.headers })) {
    const seen = events.map(({ event }) => event).filter((event) => event.case !== "heartbeat");
    if (seen.length > 0) out.push(seen);
  }
  return out;
};

/** Its lanes as these events report them. */
const resumeOf = (events: Event["event"][]) => {
  const { promptTokenIds, modelDigest } = startOf(events);
  const lanes: { lane: number; tokenIds: number[] }[] = [];
  const laneOf = (lane: number) => {
    const known = lanes.find((each) => each.lane === lane) ?? { lane, tokenIds: [] };
    if (!lanes.includes(known)) lanes.push(known);
    return known;
  };
  for (const event of events) {
    if (event.case === "delta") laneOf(event.value.lane).tokenIds.push(...event.value.tokenIds);
    if (event.case !== "stageOpened") continue;
    for (const lane of event.value.lanes) laneOf(lane);
  }
  return { promptTokenIds, modelDigest, lanes };
};

describe("an answer", () => {
  it("begins with Started, ends with Finished, and its usage counts every reported token", async () => {
    const events = await all(ask());
    expect(events.find(({ case: kind }) => kind !== "heartbeat")?.case).toBe("started");
    const last = events.at(-1);
    if (last?.case !== "finished") throw new Error("no end");
    const usage = last.value.usage;
    const deltas = events.flatMap((event) => (event.case === "delta" ? [event.value] : []));
    expect(usage?.completionTokens).toBe(
      deltas.reduce((n, { tokenIds }) => n + tokenIds.length, 0),
    );
    expect(usage?.visibleTokens).toBe(deltas.reduce((n, delta) => n + delta.visibleTokens, 0));
    expect(usage?.stages).toBe(events.filter(({ case: kind }) => kind === "stageOpened").length);
    expect(usage?.stages).toBeGreaterThan(0);
    expect(usage?.steps).toBeLessThan(usage?.visibleTokens ?? 0);
  });

  it("says the same text on every run, and no branch opens in serial mode", async () => {
    const [first, second] = [await all(ask()), await all(ask())];
    expect(read(first).text).toBe(read(second).text);
    const serial = await all(ask({ mode: Mode.SERIAL }));
    expect(serial.some(({ case: kind }) => kind === "stageOpened")).toBe(false);
    expect(read(serial).text).not.toContain("<|");
  });

  it("is the same with other requests as alone", async () => {
    const alone = read(await all(ask())).text;
    const company = ["Compare Oslo and Rome.", "Tell me about Lima.", question, "What is 3 + 4?"];
    const texts = await Promise.all(company.map((content) => all(ask({ content }))));
    expect(read(texts[2] ?? []).text).toBe(alone);
  });

  it("is cut at the first stop string in document order", async () => {
    const whole = read(await all(ask())).text;
    const stop = whole.slice(whole.length >> 1, (whole.length >> 1) + 6);
    const events = await all(ask({ stop: [stop] }));
    const last = events.at(-1);
    if (last?.case !== "finished") throw new Error("no end");
    expect(last.value.reason).toBe(FinishReason.STOP);
    const { runs } = read(events);
    const end = runs.findIndex(({ lane }) => lane === last.value.stopLane);
    const kept = runs.slice(0, end + 1).map(({ text }) => text);
    // The trunk has several runs; if it is the stop lane, its last one counts.
    const text = last.value.stopLane === 0 ? runs.map((run) => run.text).join("") : kept.join("");
    expect(text).toBe(whole.slice(0, whole.indexOf(stop)));
  });
});

it("several choices of one prompt that come together prefill it once", async () => {
  const asked = {
    ...{ model: "anabranch-small", mode: Mode.PARALLEL, maxTokens: 40, seed: 5n },
    ...{ sampling: { temperature: 2 }, cacheSalt: new TextEncoder().encode("choices") },
    input: { case: "chat" as const, value: { messages: [{ role: "user", content: question }] } },
  };
  const answers = await Promise.all(
    [0, 1, 2, 3].map(async (choice) => (await messages({ ...asked, choice })).flat()),
  );
  const cached = answers.map((events) => startOf(events).cachedTokens).sort((a, b) => a - b);
  expect(cached[0]).toBe(0);
  expect(cached[1]).toBeGreaterThan(0);
  expect(cached).toEqual([0, cached[1], cached[1], cached[1]]);
  expect(new Set(answers.map((events) => read(events).text)).size).toBeGreaterThan(1);
});

describe("a second turn", () => {
  const blockTokens = 16;
  const whole = (tokens: number) => Math.floor(tokens / blockTokens) * blockTokens;
  const conversation = (name: string, messages: MessageInitShape<typeof ChatMessageSchema>[]) =>
    all(
      worker.client.generate(
        {
          model: "anabranch-small",
          input: { case: "chat", value: { messages } },
          ...{ mode: Mode.PARALLEL, maxTokens: 400 },
          cacheSalt: new TextEncoder().encode(name),
        },
        { headers: worker.headers },
      ),
    );

  /** An answer with one stage: its segments' lengths as far as they were forwarded, and its parts. */
  function structureOf(events: Event["event"][]) {
    const { dialect } = new TextModel(smallModel);
    const opened = events.flatMap((event) => (event.case === "stageOpened" ? [event.value] : []));
    if (!dialect || opened.length !== 1) throw new Error("not one stage");
    const [trunk = [], ...branches] = resumeOf(events).lanes.map(({ tokenIds }) => tokenIds);
    const plan = trunk.indexOf(dialect.opener[0] ?? -1);
    const joined = trunk.indexOf(dialect.join[0] ?? -1);
    const segments = [
      ...[startOf(events).promptTokens + plan, joined - plan],
      ...branches.map(({ length }) => length),
      trunk.length - joined - 1, // the end was chosen and never forwarded
    ];
    const [before, ...texts] = read(events).runs.map(({ text }) => text);
    const parallel = opened[0]?.titles.map((title, i) => ({ title, body: texts[i] ?? "" })) ?? [];
    const parts = [{ serial: before ?? "" }, { parallel }, { serial: texts.at(-1) ?? "" }];
    return { segments, parts };
  }

  it("finds the KV of a branching answer that is given back with its parts, and of no other", async () => {
    const first = await conversation("a", [{ role: "user", content: question }]);
    const { segments, parts } = structureOf(first);
    const content = read(first).text;
    const turn = (given: typeof parts) => [
      { role: "user", content: question },
      { role: "assistant", content, parts: given },
      { role: "user", content: "What is 7 + 5?" },
    ];
    const [trunk = 0] = segments;
    // The same words as plain text were never computed.
    const asText = await conversation("a", turn([]));
    expect(startOf(asText).cachedTokens).toBe(whole(trunk));
    const found = segments.reduce((sum, tokens) => sum + whole(tokens), 0);
    const structured = await conversation("a", turn(parts));
    expect(startOf(structured).cachedTokens).toBe(found);
    expect(found).toBeGreaterThan(whole(trunk));
    expect(startOf(structured).promptTokens).toBeGreaterThan(startOf(asText).promptTokens);
    // What is found changes no token.
    const alone = await conversation("b", turn(parts));
    expect(startOf(alone).cachedTokens).toBe(0);
    expect(read(structured)).toEqual(read(alone));
  });

  it("resumes elsewhere from the same structure", async () => {
    const first = await conversation("a", [{ role: "user", content: question }]);
    const { parts } = structureOf(first);
    const asked = {
      ...{ model: "anabranch-small", mode: Mode.PARALLEL, maxTokens: 200 },
      input: {
        case: "chat" as const,
        value: {
          messages: [
            { role: "user", content: question },
            { role: "assistant", content: read(first).text, parts },
            { role: "user", content: "Compare Oslo and Rome." },
          ],
        },
      },
    };
    const steps = await messages(asked);
    const resume = resumeOf(steps.slice(0, steps.length >> 1).flat());
    const again = (await messages({ ...asked, resume })).flat();
    expect(read(again).text).toBe(read(steps.flat()).text);
  });
});

describe("a client that leaves", () => {
  it("frees every block", async () => {
    for (const messages of [1, 2, 4]) {
      const leave = new AbortController();
      let seen = 0;
      await refusal(
        (async function* () {
          for await (const message of ask(
            { ignoreEos: true, maxTokens: 900 },
            { signal: leave.signal },
          )) {
            if (++seen === messages) leave.abort();
            yield message;
          }
        })(),
      );
      const load = await settled();
      expect(load.kvBlocksFree).toBe(load.kvBlocksTotal);
    }
  });

  it("reports what its steps take, and what it has to do before the next request", async () => {
    const stream = ask({ ignoreEos: true, maxTokens: 200 });
    for await (const { events } of stream) {
      if (!events.some(({ event }) => event.case === "delta")) continue;
      const { load } = await worker.client.describe({}, { headers: worker.headers });
      if (load?.runningRequests === 1) expect(load.contextTokens).toBeGreaterThan(0n);
      break;
    }
    const { stepCosts, ...load } = await settled();
    expect(stepCosts?.stepMs).toBeGreaterThan(0);
    expect(stepCosts?.stepMs).toBeLessThan(10_000);
    expect(load).toMatchObject({ prefillTokens: 0n, contextTokens: 0n });
    expect(load.maxRunning).toBeGreaterThan(0);
  });
});

describe("what is refused", () => {
  it("a caller without the credential", async () => {
    for (const authorization of ["", "Bearer x", `${worker.headers.authorization}x`]) {
      const error = await refusal(ask({}, { headers: { authorization } }));
      expect(error.code).toBe(Code.Unauthenticated);
    }
  });

  it.each([
    ["another model", { model: "gpt-4" }, Code.NotFound, /gpt-4/],
    ["too long a prompt", { content: "word ".repeat(3000) }, Code.OutOfRange, /context/],
    ["a huge prompt", { content: "word ".repeat(1_000_000) }, Code.OutOfRange, /bytes/],
  ])("%s", async (_, asked, code, message) => {
    const error = await refusal(ask(asked));
    expect(error.code).toBe(code);
    expect(error.rawMessage).toMatch(message);
  });

  it("no messages, no input, and token ids outside the vocabulary", async () => {
    const inputs = [
      { case: "chat", value: { messages: [] } },
      { case: undefined },
      { case: "tokens", value: { ids: [5_000_000] } },
      { case: "tokens", value: { ids: [0xffffffff] } },
    ] satisfies MessageInitShape<typeof GenerateRequestSchema>["input"][];
    for (const input of inputs) {
      const error = await refusal(
        worker.client.generate(
          { model: "anabranch-small", input, maxTokens: 4 },
          { headers: worker.headers },
        ),
      );
      expect(error.code).toBe(Code.InvalidArgument);
    }
    const load = await settled();
    expect(load.kvBlocksFree).toBe(load.kvBlocksTotal);
  });
});

describe("an answer begun elsewhere", () => {
  const request = (content: string, stop: string[]) => ({
    model: "anabranch-small",
    input: { case: "chat" as const, value: { messages: [{ role: "user", content }] } },
    ...{ mode: Mode.PARALLEL, maxTokens: 400, stop, seed: 5n, sampling: { temperature: 0.8 } },
  });
  const tokens = (events: Event["event"][]) => resumeOf(events).lanes;

  it.each([
    ["with branches", question, []],
    ["cut by a stop string in a branch", question, ["Paris is"]],
    ["serial", "What is 7 + 5?", []],
  ])("goes on as it would have, from any step: %s", async (_, content, stop) => {
    const asked = request(content, stop);
    const steps = await messages(asked);
    const whole = steps.flat();
    for (let cut = 1; cut < steps.length; cut += 4) {
      const resume = resumeOf(steps.slice(0, cut).flat());
      const again = (await messages({ ...asked, resume })).flat();
      expect(again.filter((event) => event.case === "started")).toHaveLength(1);
      expect(read(again).text, `cut after ${cut}`).toBe(read(whole).text);
      if (stop.length > 0) continue; // tokens after the stop string do not count
      expect(tokens(again)).toEqual(tokens(whole));
      expect(again.filter((event) => event.case !== "delta").map((event) => event.case)).toEqual(
        whole.filter((event) => event.case !== "delta").map((event) => event.case),
      );
    }
  });

  it("is refused if its model, its prompt or its lanes are not this request's", async () => {
    const asked = request(question, []);
    const steps = await messages(asked);
    const resume = resumeOf(steps.slice(0, 12).flat());
    const broken: [Code, MessageInitShape<typeof ResumeSchema>][] = [
      [Code.FailedPrecondition, { ...resume, modelDigest: "another" }],
      [Code.FailedPrecondition, { ...resume, promptTokenIds: [1, 2, 3] }],
      [Code.InvalidArgument, { ...resume, lanes: [...resume.lanes, { lane: 40, tokenIds: [5] }] }],
      [Code.InvalidArgument, { ...resume, lanes: [{ lane: 0, tokenIds: [4, 4, 4] }] }],
      [Code.InvalidArgument, { ...resume, lanes: [{ lane: 0, tokenIds: [5_000_000] }] }],
    ];
    for (const [code, each] of broken) {
      const stream = worker.client.generate(
        { ...asked, resume: each },
        { headers: worker.headers },
      );
      expect((await refusal(stream)).code).toBe(code);
    }
  });
});

describe("the digest of a model", () => {
  it("is another with another chat template, and then no answer is continued", () => {
    const text = new TextModel(smallModel);
    const { files } = text;
    const edited = new TextModel({ ...files, chatTemplate: { text: "{{ 1 }}", origin: "edited" } });
    const digest = text.digestWith("weights");
    expect(new TextModel(smallModel).digestWith("weights")).toBe(digest);
    expect(text.engineDigest(digest)).toBe("weights");
    expect(edited.digestWith("weights")).not.toBe(digest);
    expect(edited.engineDigest(digest)).toBe("");
  });
});

describe("connections", () => {
  it("are closed by the gateway, which keeps an idle one for five seconds", async () => {
    const response = await fetch(`${worker.url}/metrics`);
    await response.arrayBuffer();
    const [, seconds] = /timeout=(\d+)/.exec(response.headers.get("keep-alive") ?? "") ?? [];
    expect(Number(seconds)).toBeGreaterThan(60);
  });
});

describe("metrics", () => {
  const sample = async (name: string): Promise<number> => {
    const response = await fetch(`${worker.url}/metrics`);
    expect(response.headers.get("content-type")).toMatch(/^text\/plain/);
    const line = (await response.text()).split("\n").find((each) => each.startsWith(name));
    return Number(line?.split(" ").at(-1) ?? Number.NaN);
  };

  it("count what answers took, and what the engine did", async () => {
    const names = [
      ...['anabranch_answers_total{end="length"', "anabranch_steps_total"],
      ...["anabranch_time_to_first_token_seconds_count", "anabranch_inter_token_seconds_count"],
      ...["anabranch_decode_tokens_total", "anabranch_read_bytes_total"],
      ...["anabranch_prompt_tokens_total"],
    ];
    const before = await Promise.all(names.map(sample));
    await all(ask({ maxTokens: 20, ignoreEos: true }));
    const after = await Promise.all(names.map(sample));
    after.forEach((value, i) => {
      const old = before[i] ?? Number.NaN;
      expect(value, names[i]).toBeGreaterThan(Number.isNaN(old) ? 0 : old);
    });
    expect(await sample("anabranch_engine_up")).toBe(1);
    const total = await sample("anabranch_kv_blocks{");
    expect(total).toBeGreaterThan(0);
    expect(await sample("anabranch_kv_blocks_free")).toBe(total);
  });
});

/** A worker with the demo model under another dialect, and an answer with a forced beginning. */
function workerUnder(name: string, dialect: () => string | undefined) {
  const folder = mkdtempSync(join(tmpdir(), "anabranch-test-"));
  let other: WorkerProcess;
  beforeAll(async () => {
    cpSync(smallModel, folder, { recursive: true });
    const file = dialect();
    if (file) writeFileSync(join(folder, "aspd.json"), file);
    else rmSync(join(folder, "aspd.json"));
    other = await WorkerProcess.start(["--model", folder, "--model-id", name]);
  });
  afterAll(async () => {
    await other.stop();
    rmSync(folder, { recursive: true });
  });
  interface More {
    mode?: Mode;
    maxTokens?: number;
    sampling?: MessageInitShape<typeof SamplingSchema>;
    resume?: MessageInitShape<typeof ResumeSchema>;
  }
  const ask = (more: More = {}) =>
    all(
      other.client.generate(
        {
          ...{ model: name, mode: Mode.PARALLEL, maxTokens: 700, ignoreEos: true },
          input: { case: "chat", value: { messages: [{ role: "user", content: question }] } },
          ...more,
        },
        { headers: other.headers },
      ),
    );
  return {
    ask,
    describe: () => other.client.describe({}, { headers: other.headers }),
    /** An answer that begins with these lanes. */
    async begun(lanes: number[][], more: More = {}) {
      const { promptTokenIds, modelDigest } = startOf(await ask({ maxTokens: 1 }));
      return ask({
        ...more,
        resume: {
          ...{ promptTokenIds, modelDigest },
          lanes: lanes.map((tokenIds, lane) => ({ lane, stage: Math.min(lane, 1), tokenIds })),
        },
      });
    },
  };
}

describe("a dialect whose tags are pieces of ordinary text", () => {
  const text = new TextModel(smallModel);
  const { ask, begun } = workerUnder("npr", () => JSON.stringify(spellDialect("npr", text)));
  const tokens = (...pieces: string[]) => pieces.flatMap((piece) => text.tokens(piece));
  const branch = (n: number, ...body: string[]) => [
    ...tokens("<step>", "\n", `${n}`, ":", ...body),
    ...tokens("</step>", "\n"),
  ];
  const title = (n: number, name: string) => tokens("<plan>", `${n}`, ":", name, "</plan>", "\n");

  it("shows its parts and none of its tags", async () => {
    const events = await begun([
      [
        ...tokens("Is 3 <gold> less? ", "<guideline>", "\n"),
        ...[...title(1, " Add them."), ...title(2, " Take <p away.")],
        ...tokens("</guideline>", "\n", "<takeaway>", "\n", "Both <take.", "</takeaway>", " So."),
      ],
      branch(1, " 3 + 4 < 8. ", "<st"),
      branch(2, " </steps"),
    ]);
    const opened = events.find((event) => event.case === "stageOpened");
    expect(opened?.value).toMatchObject({ titles: ["Add them.", "Take <p away."] });
    const { text: shown, runs } = read(events);
    expect(runs.slice(0, 3).map((run) => run.text)).toEqual([
      ...["Is 3 <gold> less? ", " 3 + 4 < 8. <st", " </steps"],
    ]);
    expect(runs[3]?.text).toMatch(/^Both <take. So./);
    expect(shown).not.toMatch(/<\/?(guideline|plan|step|takeaway)>/);
    const last = events.at(-1);
    const deltas = events.flatMap((event) => (event.case === "delta" ? [event.value] : []));
    expect(last?.case === "finished" && last.value.usage?.visibleTokens).toBe(
      deltas.reduce((n, delta) => n + delta.visibleTokens, 0),
    );
  });

  it("reports the log-probability of a held-back token when it becomes visible", async () => {
    const [less = 0] = tokens("<");
    const events = await ask({
      maxTokens: 6,
      sampling: { logprobs: true, logitBias: { [less]: 100 } },
    });
    const deltas = events.flatMap((event) => (event.case === "delta" ? [event.value] : []));
    const ids = deltas.flatMap(({ tokenIds }) => tokenIds);
    expect(ids).toEqual(new Array(6).fill(less));
    expect(deltas.flatMap(({ logprobs }) => logprobs.map(({ tokenId }) => tokenId))).toEqual(ids);
    expect(read(events).text).toBe("<<<<<<");
  });
});

describe("a model that knows no markers", () => {
  const { ask, describe: described } = workerUnder("stock", () => undefined);

  it("is said to be outlined, and answers in both modes", async () => {
    expect((await described()).models[0]?.dialect).toBe("outline");
    for (const mode of [Mode.SERIAL, Mode.PARALLEL]) {
      const events = await ask({ mode, maxTokens: 80 });
      const last = events.at(-1);
      expect(last?.case === "finished" && last.value.usage?.visibleTokens).toBeGreaterThan(60);
    }
  });
});

it("reports the model's sampling defaults, or neutral or other ones if it is told to", async () => {
  const defaultsOf = async ({ client, headers }: WorkerProcess) =>
    (await client.describe({}, { headers })).models[0]?.samplingDefaults;
  expect(await defaultsOf(worker)).toMatchObject({ temperature: 0, topP: 1 });
  for (const [given, wanted] of [
    ["none", { temperature: 1, topP: 1 }],
    ['{"temperature":0.2}', { temperature: 0.2, topP: 1 }],
    ['{"top_p":0.9}', { temperature: 0, topP: 0.9 }],
  ] as const) {
    const other = await WorkerProcess.start(["--model", smallModel, "--sampling-defaults", given]);
    try {
      expect(await defaultsOf(other)).toMatchObject(wanted);
    } finally {
      await other.stop();
    }
  }
});

describe("processes", () => {
  it("an engine that dies ends its answers as unavailable and is replaced", async () => {
    const stream = ask({ maxTokens: 900, ignoreEos: true })[Symbol.asyncIterator]();
    await stream.next();
    for (const pid of worker.children()) process.kill(pid, "SIGKILL");
    const error = await refusal({ [Symbol.asyncIterator]: () => stream });
    expect(error.code).toBe(Code.Unavailable);
    while (true) {
      try {
        expect(read(await all(ask())).text).not.toBe("");
        return;
      } catch (again) {
        if (ConnectError.from(again).code !== Code.Unavailable) throw again;
      }
    }
  });

  it("SIGTERM ends the worker and its engine", async () => {
    const other = await WorkerProcess.start();
    const [engine] = other.children();
    expect(engine).toBeGreaterThan(0);
    expect(await other.stop()).toBe(0);
    expect(() => process.kill(engine ?? 0, 0)).toThrow(/ESRCH/);
  });

  it.each([
    [["--model", "/nowhere"], /\/nowhere: there is no such folder or file/],
    [["--model", ""], /--model is needed/],
    [["--model", `${smallModel}/config.json`], /give the folder/],
    [["--model", smallModel, "--port", "no"], /--port/],
    [["--model", smallModel, "--gateway", "http://gateway.invalid"], /ANABRANCH_POOL_TOKEN/],
    [["--bogus"], /--help/],
  ])("%j is refused with what to do", async (args, message) => {
    await expect(WorkerProcess.start(args)).rejects.toThrow(message);
  });
});
