import { fileURLToPath } from "node:url";
import { TextModel } from "@anabranch/gpu-worker/model/text-model.ts";
import { openEngine } from "@anabranch/native";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { makeTask } from "../tasks/catalogue.ts";
import type { Task } from "../tasks/task.ts";
import { cut, defaultRules, findCandidates, type Proposal, propose } from "./cut.ts";
import { LikelihoodCheck, LikelihoodScorer } from "./likelihood.ts";
import { readTokenizer } from "./tokenizer.ts";

const folder = fileURLToPath(new URL("../../../models/small", import.meta.url));

/** The first held-out task of a kind that the demo model was trained on, with an answer laid out as a list. */
function taskOf(kind: string): Task {
  for (let i = 0; ; i++) {
    const task = makeTask(5, i, "heldout");
    if (task.kind === kind && /^(- |1\. )/m.test(task.response)) return task;
  }
}

/** Items that all but the first copy text that only a sibling contains. */
const line = "Corta Belvik from Quildenmouth and Ada Torsen from Maltaford\n";
const echo: Task = {
  family: "serial",
  kind: "echo",
  parallel: false,
  prompt: "Make up some names and write them three times.",
  response: `Here they are.\n\n- **One**: ${line}- **Two**: ${line}- **Three**: ${line}`,
  claims: [],
};

const proposed = ({ prompt, response }: Task): Proposal[] =>
  propose(response, prompt, findCandidates(response, prompt), { ...defaultRules, minGain: -100 });

describe("likelihood", () => {
  let scorer: LikelihoodScorer;
  beforeAll(async () => {
    scorer = await LikelihoodScorer.open(folder);
  });
  afterAll(() => scorer.close());

  it("separates items that copy each other from independent sums", async () => {
    const [list] = proposed(echo);
    if (!list) throw new Error("the echo has no list");
    const dependent = await scorer.score(echo.prompt, echo.response, list);
    const sums = taskOf("sums");
    const [stage] = proposed(sums);
    if (!stage) throw new Error("the sums have no list");
    const independent = await scorer.score(sums.prompt, sums.response, stage);
    expect(dependent?.drop).toBeGreaterThan(0.5);
    expect(independent?.drop).toBeLessThan(0.3);
    expect(independent?.drops).toHaveLength(stage.branches.length);
    expect(independent?.drops[0]).toBe(0);
  });

  it("counts how far it agrees with the words, and rejects a branch that loses too much", async () => {
    const check = new LikelihoodCheck(scorer, 0.3);
    const answer = (task: Task) => ({ id: task.kind, model: "demo", ...task });
    const sums = taskOf("sums");
    const lexical = proposed(echo).map((proposal) => ({ ...proposal, dependence: "by words" }));
    await check.check(answer(echo), lexical);
    const [kept] = await check.check(answer(sums), proposed(sums));
    expect(kept?.dependence).toBeUndefined();
    // The same list as if its words had shown nothing.
    const blind = lexical.map((proposal) => ({ ...proposal, dependence: undefined }));
    const [refused] = await check.check(answer(echo), blind);
    expect(refused?.dependence).toBe("less likely without its siblings");
    expect(check.agreement).toMatchObject({
      judged: 3,
      bothIndependent: 1,
      bothDependent: 1,
      onlyLexical: 0,
      onlyLikelihood: 1,
    });
    expect(check.agreement.disagreements).toMatchObject([{ id: "echo", lexical: null }]);
  });

  it("leaves a stage as it is if it exceeds the context", async () => {
    const body = "word ".repeat(20_000);
    const branches = [
      { title: "a", body },
      { title: "b", body },
    ];
    const long = { branches, start: 0 } as unknown as Proposal;
    expect(await scorer.score("", body + body, long)).toBeUndefined();
  });
});

it("expects as many steps as the engine takes", async () => {
  const { count } = readTokenizer(folder);
  const model = new TextModel(folder);
  const { prompt } = taskOf("compare-cities");
  const runs: { lane: number; ids: number[] }[] = [{ lane: 0, ids: [] }];
  const steps = await new Promise<number>((done, fail) => {
    const engine = openEngine(
      { model: folder },
      (events) => {
        for (const event of events.get(1) ?? []) {
          if (event.kind === "stageOpened") {
            for (const { lane } of event.lanes) runs.push({ lane, ids: [] });
          } else if (event.kind === "stageClosed") runs.push({ lane: 0, ids: [] });
          else if (event.kind === "token" && event.token.visible) {
            runs.findLast(({ lane }) => lane === event.lane)?.ids.push(event.token.id);
          } else if (event.kind === "finished") {
            engine.close();
            done(event.usage.steps);
          }
        }
      },
      (message) => fail(new Error(message)),
    );
    const ids = model.chat([{ role: "user", content: prompt }]);
    engine.submit({ id: 1, prompt: ids, parallel: true, maxTokens: 900 });
  });
  const text = runs.map(({ ids }) => model.decode(ids)).join("");
  const { parts, stages } = cut(text, prompt, { count, minGain: -100 });
  expect(stages).toHaveLength(1);
  const serial = parts.map((part) => ("serial" in part ? count(part.serial) : 0));
  const inStages = stages.map(({ cost }) => cost.steps);
  expect([...serial, ...inStages].reduce((sum, n) => sum + n, 0)).toBe(steps);
});
