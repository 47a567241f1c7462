// The playground in a real browser, before the real system with the demo and the small model.
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import type { Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { expectAccessible, expectFits, openSite, type Site } from "./site.ts";

const root = join(import.meta.dirname, "../..");
const demo = JSON.parse(readFileSync(join(root, "models/demo/demo.json"), "utf8"));
const branching = `${demo.id}:${demo.adapterName}`;
const small = "anabranch-small";
const list = "What are the benefits of learning a second language?";
const comparison = "Compare Tokyo, Paris and Cairo.";

let site: Site;
beforeAll(async () => {
  site = await openSite();
  await site.cluster.addWorker("small");
  await site.cluster.addWorker("demo", [
    ...["--model", demo.model, "--model-id", demo.id],
    ...["--adapter", `${demo.adapterName}=${demo.adapter}`],
  ]);
}, 120_000);
afterAll(() => site.close());
afterEach(() => expect(site.problems.splice(0)).toEqual([]));

async function playground(model: string, options = {}): Promise<Page> {
  const page = await site.page("playground", options);
  await page.getByLabel("Model").selectOption(model);
  return page;
}

const question = (page: Page) => page.getByLabel("Question", { exact: true });

async function ask(page: Page, text: string): Promise<void> {
  await question(page).fill(text);
  await question(page).press("Enter");
}

/** Until no answer is being written. */
const ended = (page: Page) =>
  page.getByRole("button", { name: "Send" }).waitFor({ timeout: 110_000 });

/** The text of the last answer as the page shows it, in document order. */
const shownText = (page: Page): Promise<string> =>
  page
    .locator(".turn")
    .last()
    .locator(".trunk, .branch-text")
    .allTextContents()
    .then((texts) => texts.join(""));

interface Completion {
  choices: { message: { content: string; anabranch: { parts: object[] } } }[];
}

/** The same question as a plain request. */
async function answerOfApi(model: string, fields: object) {
  const body = { model, temperature: 0, max_tokens: 1024, ...fields };
  const init = { method: "POST", body: JSON.stringify(body) };
  const { choices } = await site.call<Completion>("/v1/chat/completions", site.key, init);
  const [choice] = choices;
  if (!choice) throw new Error("no choice");
  return choice.message;
}

it("numbers stay as they are typed, and those that no request may have are not sent", async () => {
  const page = await playground(small);
  for (const [label, typed, shown] of [
    ["Temperature", "0.7", "0.7"],
    ["Top-p", "0.05", "0.05"],
    ["Max. tokens", "1.5", "1.5"],
    ["Seed", "9007199254740993", "9007199254740993"],
  ] as const) {
    await page.getByLabel(label, { exact: true }).fill("");
    await page.getByLabel(label, { exact: true }).pressSequentially(typed);
    expect(await page.getByLabel(label, { exact: true }).inputValue()).toBe(shown);
    const wrong = label === "Max. tokens" || label === "Seed";
    expect(await page.getByRole("alert").count()).toBe(wrong ? 1 : 0);
  }
  const request = page.waitForRequest("**/v1/chat/completions");
  await ask(page, "Hello.");
  const { temperature, top_p, max_tokens, seed } = (await request).postDataJSON();
  expect([temperature, top_p, max_tokens, seed]).toEqual([0.7, 0.05, 1, 900719925474099]);
  await ended(page);
});

describe("an answer that branches", () => {
  it("grows in at least three columns at the same time, joins, and is the API's", async () => {
    const page = await playground(branching);
    // Each frame's lengths of the columns that are being written.
    await page.evaluate(`{
      globalThis.seen = [];
      const look = () => {
        const open = document.querySelectorAll(".branch.open .branch-text");
        seen.push([...open].map(({ textContent }) => textContent.length));
        requestAnimationFrame(look);
      };
      look();
    }`);
    await ask(page, list);
    await page.locator(".lines-fork").waitFor({ timeout: 60_000 });
    await page.locator(".lines-join").waitFor({ timeout: 60_000 });
    await ended(page);
    const seen = await page.evaluate<number[][]>("seen");
    const growing = seen.filter((now, frame) => {
      const before = seen[frame - 1] ?? [];
      return now.filter((length, column) => length > (before[column] ?? length)).length >= 3;
    });
    expect(growing.length).toBeGreaterThan(0);
    const messages = [{ role: "user", content: list }];
    expect(await shownText(page)).toBe((await answerOfApi(branching, { messages })).content);
    await expectAccessible(page);
  }, 120_000);

  it("stops when the page is loaded again in the middle of it", async () => {
    const page = await playground(branching);
    await ask(page, list);
    await page.locator(".branch.open").first().waitFor({ timeout: 60_000 });
    await page.reload();
    await page.locator(".badge", { hasText: "stopped" }).waitFor();
    expect(await page.locator(".branch.open").count()).toBe(0);
    expect(await page.locator(".note-error").count()).toBe(0);
  }, 120_000);

  it("is announced whole, branch after branch in order", async () => {
    const page = await playground(small);
    await ask(page, comparison);
    await ended(page);
    const said = await page.getByRole("log").locator("p").allTextContents();
    const branches = said.filter((text) => text.startsWith("Branch "));
    expect(branches.map((text) => text.slice(0, 13))).toEqual([
      "Branch 1 of 3",
      "Branch 2 of 3",
      "Branch 3 of 3",
    ]);
    expect(said.at(-1)).toBe("The answer is complete.");
  });

  it("is continued: the next question sends its structure back", async () => {
    const page = await playground(small);
    await ask(page, comparison);
    await ended(page);
    const request = page.waitForRequest("**/v1/chat/completions");
    await ask(page, "Compare Oslo, Lima and Rome.");
    const { messages } = (await request).postDataJSON();
    const { content, anabranch } = await answerOfApi(small, { messages: messages.slice(0, 1) });
    expect(messages[1]).toEqual({
      ...{ role: "assistant", content, anabranch: { parts: anabranch.parts } },
    });
    await ended(page);
    expect(await page.locator(".turn").count()).toBe(2);
  });
});

describe("a race", () => {
  it("shows both sides and the ratio that was measured", async () => {
    const page = await playground(branching);
    await question(page).fill(list);
    await page.getByRole("button", { name: "Race" }).click();
    const ratio = page.locator(".ratio");
    await ratio.waitFor({ timeout: 110_000 });
    const rates = await page
      .locator(".side dd")
      .evaluateAll((all) =>
        all
          .filter((each) => each.previousElementSibling?.textContent === "Tokens/s")
          .map((each) => Number(each.textContent)),
      );
    expect(rates).toHaveLength(2);
    const [serial = 0, branched = 0] = rates;
    expect(Number((await ratio.textContent())?.replace("×", ""))).toBeCloseTo(branched / serial, 1);
    expect(await page.getByRole("region", { name: "Serial" }).locator(".branch").count()).toBe(0);
    const columns = page.getByRole("region", { name: "In branches" }).locator(".branch");
    expect(await columns.count()).toBeGreaterThan(1);
  }, 120_000);

  it("runs one side after the other where that is wanted", async () => {
    const page = await playground(small);
    await page.getByLabel("Race at the same time").uncheck();
    const sent: string[] = [];
    let beside: string[] | undefined;
    await page.route("**/v1/chat/completions", async (route) => {
      sent.push(route.request().postDataJSON().anabranch.mode);
      if (!beside) {
        // The first request waits for two frames of the page: what is sent at the same time is here by then.
        await page.evaluate(
          "new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn)))",
        );
        beside = [...sent];
      }
      await route.continue();
    });
    await question(page).fill(comparison);
    await page.getByRole("button", { name: "Race" }).click();
    await page.locator(".ratio").waitFor();
    expect([beside, sent]).toEqual([["serial"], ["serial", "parallel"]]);
  });
});

describe("declared branches", () => {
  it("are rows that one adds, and columns of the answer", async () => {
    const page = await playground(small);
    await page.getByRole("button", { name: "Declare branches" }).click();
    await page.getByRole("button", { name: "+ Add a branch" }).click();
    await page.getByRole("button", { name: "Remove branch 4" }).click();
    const shared = "Answer briefly.";
    await page.getByLabel("What all branches share").fill(shared);
    const branches = ["Tokyo", "Paris", "Cairo"].map((title) => ({
      title,
      content: `Where is ${title}?`,
    }));
    for (const [index, { title, content }] of branches.entries()) {
      await page.getByLabel(`Title of branch ${index + 1}`).fill(title);
      await page.getByLabel(`Question of branch ${index + 1}`).fill(content);
    }
    await page.getByRole("button", { name: "Send" }).click();
    await ended(page);
    const { anabranch } = await answerOfApi(small, {
      messages: [{ role: "system", content: shared }],
      anabranch: { branches },
    });
    const columns = page.locator(".branch");
    const shown = await Promise.all(
      branches.map(async ({ title }, index) => ({
        title: (await columns.nth(index).locator("h3").textContent()) === title ? title : "another",
        body: await columns.nth(index).locator(".branch-text").textContent(),
      })),
    );
    expect([{ parallel: shown }]).toEqual(anabranch.parts);
  });
});

describe("the classifier", () => {
  it("says what it thinks of a prompt while one writes, with its reasons", async () => {
    const page = await playground(small);
    await question(page).fill(list);
    const opinion = page.getByRole("region", { name: "What the classifier says" });
    await opinion.waitFor();
    const init = { method: "POST", body: JSON.stringify({ input: list }) };
    const { data } = await site.call<{ data: { probability: number; reasons: object[] }[] }>(
      ...(["/v1/classify", site.key, init] as const),
    );
    const [said] = data;
    expect(await opinion.textContent()).toContain(`${Math.round(100 * (said?.probability ?? 0))}%`);
    expect(await opinion.locator("li").count()).toBe(said?.reasons.length);
  });
});

describe("a conversation", () => {
  it("can be stopped and asked again", async () => {
    const page = await playground(branching);
    await ask(page, list);
    await page.locator(".trunk").first().waitFor();
    await page.getByRole("button", { name: "Stop" }).click();
    await page.getByText("stopped", { exact: true }).waitFor();
    await page.getByLabel("Model").selectOption(small);
    await page.getByLabel("Max. tokens").fill("4");
    await page.getByRole("button", { name: "Retry" }).click();
    await page.getByText("cut at max. tokens").waitFor();
    expect(await page.locator(".turn").count()).toBe(1);
  }, 120_000);

  it("outlives a reload and the back button, and a file", async () => {
    const page = await playground(small);
    await page.getByLabel("Max. tokens").fill("200");
    await ask(page, comparison);
    await ended(page);
    const text = await shownText(page);
    await page.reload();
    await expect.poll(() => shownText(page)).toBe(text);
    expect(await page.getByLabel("Max. tokens").inputValue()).toBe("200");
    await page.getByRole("link", { name: "Pool" }).click();
    await page.getByRole("heading", { name: "Pool" }).waitFor();
    await page.goBack();
    await expect.poll(() => shownText(page)).toBe(text);

    const saved = page.waitForEvent("download");
    await page.getByRole("button", { name: "Save" }).click();
    const path = await (await saved).path();
    await page.getByRole("button", { name: "New" }).click();
    expect(await page.locator(".turn").count()).toBe(0);
    await page.locator("input[type=file]").setInputFiles(path);
    await expect.poll(() => shownText(page)).toBe(text);
  });

  it("can be copied as programs that run", async () => {
    const page = await playground(small);
    await ask(page, comparison);
    await ended(page);
    const text = await shownText(page);
    await page.getByRole("button", { name: "Code" }).click();
    const code = page.locator(".code pre");
    const run = promisify(execFile);
    const options = { cwd: root, env: { ...process.env, KEY: site.key } };
    const curl = await run("sh", ["-c", (await code.textContent()) ?? ""], options);
    expect(curl.stdout).toContain('"stage_opened"');
    await page.getByRole("button", { name: "TypeScript" }).click();
    const program = ["--input-type=module-typescript", "--eval", (await code.textContent()) ?? ""];
    expect((await run(process.execPath, program, options)).stdout).toBe(text);
    await page.getByRole("button", { name: "Python" }).click();
    expect(await code.textContent()).toContain('extra_body={"anabranch": {"mode": "auto"');
    await page.getByRole("button", { name: "Events" }).click();
    await page.getByRole("cell", { name: "stage_closed", exact: true }).waitFor();
  });

  it("says what to do when it fails", async () => {
    const page = await playground(small);
    await page.evaluate(`sessionStorage.setItem("anabranch.key", '"sk-of-nobody"')`);
    await page.reload();
    await page.getByText("Incorrect API key provided. Sign out and in again").waitFor();
    // It would go on to ask, and to be refused.
    await page.context().close();
    // The browser itself reports answers with an error's status.
    expect(site.problems.splice(0).every((text) => text.includes("401"))).toBe(true);
  });
});

describe.each(["light", "dark"] as const)("on a phone, %s", (colorScheme) => {
  it("everything fits and can be used", async () => {
    const page = await playground(small, { colorScheme, viewport: { width: 360, height: 740 } });
    await expectAccessible(page);
    await ask(page, comparison);
    await ended(page);
    await expectFits(page);
    await expectAccessible(page);
  });
});
