// npm run bench -- frames: whether the playground keeps up with an answer that grows fast and long.
import { openBrowser } from "@anabranch/console/test/browser.ts";
import { openTestCluster, type TestCluster } from "@anabranch/gateway/local/test-cluster.ts";
import { integer } from "@anabranch/shared/cli/options.ts";
import type { CDPSession, Page } from "playwright-core";
import { type Pace, pacedAnswer, pacedModel, servePacedLanes } from "./frames/paced-lanes.ts";
import { quantile } from "./quantiles.ts";
import { columns, type Machine, round, say, thisMachine } from "./report.ts";
import { defineSubject } from "./subject.ts";

const help = `npm run bench -- frames [options]

The console's playground in Chromium, without a GPU, before our gateway, while a server behind the gateway writes one
answer at a steady pace in branches, stage after stage. Reports the times between frames of the screen, and what
the page's JavaScript holds after collecting garbage: when the first stage was open for a while, halfway, and at the end.
Needs the browser of the tests (npm test unpacks it, ANABRANCH_BROWSER names another). Exits with 1 if the page lacks
text, or if the p95 is over 50 ms.

  --seconds N     how long the answer takes (default 300)
  --rate N        pieces of text a second, over all branches (default 300)
  --branches N    of each stage (default 30)
  --stage N       seconds that a stage is open (default 20)
  --json          print one JSON value to stdout
`;

const mostMs = 50;

export interface FramesFigures {
  machine: Machine;
  pace: Pace;
  /** From the first branch to the end of the answer. */
  seconds: number;
  frames: number;
  frame_ms: { p50: number; p95: number; p99: number; max: number };
  /** Of the page's main thread, ms a frame. */
  work_ms: { task: number; script: number; style: number; layout: number };
  heap_mb: { begin: number; middle: number; end: number };
  /** Characters that the page shows, of those that were sent. */
  shown: number;
  sent: number;
}

async function heapMb(session: CDPSession): Promise<number> {
  await session.send("HeapProfiler.collectGarbage");
  const { usedSize } = await session.send("Runtime.getHeapUsage");
  return round(usedSize / 1e6);
}

/** What the main thread has done since this was enabled, in seconds. */
async function workOf(session: CDPSession): Promise<Record<string, number>> {
  const { metrics } = await session.send("Performance.getMetrics");
  return Object.fromEntries(metrics.map(({ name, value }) => [name, value]));
}

async function signedInPage(cluster: TestCluster, page: Page): Promise<void> {
  const key = await cluster.key("frames");
  const response = await fetch(`${cluster.url}/admin/v1/sign-in`, {
    method: "POST",
    headers: { authorization: `Bearer ${cluster.adminToken}` },
    body: JSON.stringify({ key }),
  });
  const { token } = (await response.json()) as { token: string };
  await page.goto(`${cluster.url}/#sign-in=${token}`);
  await page.getByLabel("Model").selectOption(pacedModel);
  await page.getByLabel("Max. tokens").fill("");
}

async function addUpstream(cluster: TestCluster, url: string): Promise<void> {
  const response = await fetch(`${cluster.url}/admin/v1/upstreams`, {
    method: "POST",
    headers: { authorization: `Bearer ${cluster.adminToken}` },
    body: JSON.stringify({ id: "paced", url }),
  });
  if (!response.ok) throw new Error(await response.text());
}

/** In the page: each frame's time after the one before. */
const watchFrames = `{
  globalThis.frameTimes = [];
  let before = performance.now();
  const look = (now) => {
    frameTimes.push(now - before);
    before = now;
    requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
}`;

const textOf = `[...document.querySelectorAll(".trunk, .branch-text")]
  .reduce((sum, { textContent }) => sum + textContent.length, 0)`;

async function watch(page: Page, pace: Pace) {
  await page.getByLabel("Question", { exact: true }).fill("Write.");
  await page.getByLabel("Question", { exact: true }).press("Enter");
  await page.locator(".branch.open").first().waitFor();
  const ms = 1_000 * pace.seconds;
  const session = await page.context().newCDPSession(page);
  await session.send("Performance.enable", { timeDomain: "threadTicks" });
  await page.waitForTimeout(Math.min(5_000, ms / 4));
  const begin = await heapMb(session);
  const before = await workOf(session);
  await page.evaluate(watchFrames);
  await page.waitForTimeout(Math.max(0, ms / 2 - 5_000));
  const middle = await heapMb(session);
  say(`  halfway: ${middle} MB`);
  await page.getByRole("button", { name: "Send" }).waitFor({ timeout: 2 * ms + 60_000 });
  const times = await page.evaluate<number[]>("frameTimes");
  const after = await workOf(session);
  const shown = await page.evaluate<number>(textOf);
  const perFrame = (name: string) =>
    round((1_000 * ((after[name] ?? 0) - (before[name] ?? 0))) / times.length);
  const work_ms = {
    ...{ task: perFrame("TaskDuration"), script: perFrame("ScriptDuration") },
    ...{ style: perFrame("RecalcStyleDuration"), layout: perFrame("LayoutDuration") },
  };
  return { times, work_ms, shown, heap_mb: { begin, middle, end: await heapMb(session) } };
}

/** @param times ms from each frame to the next */
export const framesOf = (times: readonly number[]) => ({
  frames: times.length,
  seconds: round(times.reduce((sum, ms) => sum + ms, 0) / 1_000),
  frame_ms: {
    ...{ p50: quantile(times, 0.5), p95: quantile(times, 0.95), p99: quantile(times, 0.99) },
    max: quantile(times, 1),
  },
});

/** Characters of the whole answer. */
export function lengthOf(pace: Pace): number {
  let sum = 0;
  for (const next of pacedAnswer(pace)) if (typeof next !== "number") sum += next.text.length;
  return sum;
}

export const keepsUp = ({ frame_ms, shown, sent }: FramesFigures): boolean =>
  frame_ms.p95 <= mostMs && shown === sent;

function table(figures: FramesFigures): string {
  const { pace, frames, seconds, frame_ms: ms, work_ms: work, heap_mb: heap } = figures;
  const { shown, sent } = figures;
  const rows = [
    ["p50 ms", "p95 ms", "p99 ms", "max ms", "begin MB", "middle MB", "end MB"],
    [ms.p50, ms.p95, ms.p99, ms.max, heap.begin, heap.middle, heap.end].map(String),
  ];
  return `${pace.rate} pieces a second in ${pace.branches} branches: ${frames} frames in ${seconds} s; ${shown} of ${sent} characters shown
${columns(rows).join("\n")}
the main thread's work a frame: ${work.task} ms, of which script ${work.script}, style ${work.style}, layout ${work.layout}
`;
}

export const subject = defineSubject({
  help,
  options: {
    seconds: { type: "string", default: "300" },
    rate: { type: "string", default: "300" },
    branches: { type: "string", default: "30" },
    stage: { type: "string", default: "20" },
  },
  async measure(values): Promise<FramesFigures> {
    const pace = {
      seconds: integer("seconds", values.seconds, 1, 3_600),
      rate: integer("rate", values.rate, 1, 10_000),
      branches: integer("branches", values.branches, 2, 1_000),
      stageSeconds: integer("stage", values.stage, 1, 3_600),
    };
    const server = await servePacedLanes(pace);
    const cluster = await openTestCluster();
    const browser = await openBrowser();
    try {
      await addUpstream(cluster, server.url);
      const page = await browser.newPage({ viewport: { width: 1280, height: 800 } });
      await signedInPage(cluster, page);
      const { times, ...found } = await watch(page, pace);
      return { machine: thisMachine(0), pace, sent: lengthOf(pace), ...found, ...framesOf(times) };
    } finally {
      await browser.close();
      await cluster.close();
      await server.close();
    }
  },
  table,
  passed: keepsUp,
});
