import { fileURLToPath } from "node:url";
import { TextModel } from "@anabranch/gpu-worker/model/text_model.ts";
import { openEngine } from "@anabranch/native";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { makeTask } from "../tasks/catalogue.ts";
import type { Task } from "../tasks/task.ts";
import { LikelihoodCheck, LikelihoodJudge } from "./likelihood.ts";
import { cut, defaultRules, findAll, type Proposal, propose } from "./parts.ts";
import { readTokenizer } from "./tokens.ts";

const folder = fileURLToPath(new URL("../../../models/demo", import.meta.url));

/** The first held-out task of a family that the demo model was trained for. */
function taskOf(family: string): Task {
  for (let i = 0; ; i++) {
    const task = makeTask(5, i, "heldout");
    if (task.family === family) return task;
  }
}

const proposed = ({ prompt, response }: Task): Proposal[] =>
  propose(response, prompt, findAll(response, prompt), { ...defaultRules, least: -100 });

describe("likelihood", () => {
  let judge: LikelihoodJudge;
  beforeAll(async () => {
    judge = await LikelihoodJudge.open(folder);
  });
  afterAll(() => judge.close());

  it("tells a chain of sums from sums that stand alone", async () => {
    const chain = taskOf("chain");
    const [list] = proposed(chain);
    if (!list) throw new Error("the chain has no list");
    expect(list.dependence).toBeDefined();
    const dependent = await judge.judge(chain.prompt, chain.response, list);
    const sums = taskOf("sums-and-total");
    const [stage] = proposed(sums);
    if (!stage) throw new Error("the sums have no list");
    const independent = await judge.judge(sums.prompt, sums.response, stage);
    expect(dependent?.drop).toBeGreaterThan(0.5);
    expect(independent?.drop).toBeLessThan(0.3);
    expect(independent?.drops).toHaveLength(stage.branches.length);
    expect(independent?.drops[0]).toBe(0);
  });

  it("counts where it agrees with the words, and refuses what loses too much", async () => {
    const check = new LikelihoodCheck(judge, 0.3);
    const answer = (task: Task) => ({ id: task.family, model: "demo", ...task });
    const [chain, sums] = [taskOf("chain"), taskOf("sums-and-total")];
    await check.check(answer(chain), proposed(chain));
    const [kept] = await check.check(answer(sums), proposed(sums));
    expect(kept?.dependence).toBeUndefined();
    // The same list as if no word had told.
    const blind = proposed(chain).map((proposal) => ({ ...proposal, dependence: undefined }));
    const [refused] = await check.check(answer(chain), blind);
    expect(refused?.dependence).toBe("less likely without its siblings");
    expect(check.agreement).toMatchObject({
      judged: 3,
      bothIndependent: 1,
      bothDependent: 1,
      onlyLexical: 0,
      onlyLikelihood: 1,
    });
    expect(check.agreement.disagreements).toMatchObject([{ id: "chain", lexical: null }]);
  });

  it("leaves alone what the engine can't hold", async () => {
    const body = "word ".repeat(20_000);
    const branches = [
      { title: "a", body },
      { title: "b", body },
    ];
    const long = { branches, start: 0 } as unknown as Proposal;
    expect(await judge.judge("", body + body, long)).toBeUndefined();
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
    engine.submit({ id: 1, prompt: ids, parallel: true, maxTokens: 480 });
  });
  const text = runs.map(({ ids }) => model.decode(ids)).join("");
  const { parts, stages } = cut(text, prompt, { count, least: -100 });
  expect(stages).toHaveLength(1);
  const serial = parts.map((part) => ("serial" in part ? count(part.serial) : 0));
  const inStages = stages.map(({ cost }) => cost.steps);
  expect([...serial, ...inStages].reduce((sum, n) => sum + n, 0)).toBe(steps);
});
