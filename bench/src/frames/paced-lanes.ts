// A server that streams one answer in branches at a steady pace, as a gateway of ours does, for a gateway that has it as
// an upstream. Whatever is asked, it answers so.
import { once } from "node:events";
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import type { LaneMark } from "@anabranch/shared/lane-mark.ts";

export interface Pace {
  seconds: number;
  /** Pieces of text a second, over all branches. */
  rate: number;
  /** Branches of each stage. */
  branches: number;
  /** How long a stage is open. */
  stageSeconds: number;
}

export const pacedModel = "paced";
const tickMs = 20;
const words = ["river ", "island ", "stream ", "delta ", "bank ", "water ", "bed, ", "mouth. "];
/** Now and then a bold one, as in real answers. */
const wordAt = (at: number) => (at % 50 === 0 ? "**Bold** " : (words[at % words.length] ?? ""));

/** The marks and texts of the answer; a number is the time of what follows, ms since the beginning. */
export function* pacedAnswer(pace: Pace): Generator<number | { mark: LaneMark; text: string }> {
  const { branches, stageSeconds, rate, seconds } = pace;
  const trunk = { lane: 0, title: null };
  let sent = 0;
  let place = 0;
  for (let stage = 1; (stage - 1) * stageSeconds < seconds; stage++) {
    const lanes = Array.from(
      { length: branches },
      (_, index) => (stage - 1) * branches + index + 1,
    );
    const titles = lanes.map((lane) => `Branch ${lane}`);
    yield { mark: { event: "delta", ...trunk, stage: null }, text: `\n\nStage ${stage}.\n\n` };
    yield { mark: { event: "stage_opened", ...trunk, stage, lanes, titles }, text: "" };
    const end = Math.min(seconds, stage * stageSeconds) * rate;
    for (; sent < end; sent++, place++) {
      if (sent % Math.max(1, Math.round((rate * tickMs) / 1_000)) === 0)
        yield (1_000 * sent) / rate;
      const index = place % branches;
      const mark: LaneMark = {
        ...{ event: "delta", lane: lanes[index] ?? 0, stage, title: titles[index] ?? "" },
      };
      yield { mark, text: wordAt(Math.floor(place / branches)) };
    }
    for (const [index, lane] of lanes.entries()) {
      const title = titles[index] ?? "";
      yield { mark: { event: "branch_closed", lane, stage, title, reason: "marker" }, text: "" };
    }
    yield { mark: { event: "stage_closed", ...trunk, stage }, text: "" };
  }
}

async function stream(pace: Pace, response: ServerResponse): Promise<void> {
  response.writeHead(200, { "content-type": "text/event-stream" });
  const head = { id: "chatcmpl-paced", object: "chat.completion.chunk", created: 1 };
  const send = (choices: object[], more: object) =>
    response.write(`data: ${JSON.stringify({ ...head, model: pacedModel, choices, ...more })}\n\n`);
  const began = performance.now();
  for (const next of pacedAnswer(pace)) {
    if (response.destroyed) return;
    if (typeof next === "number") await sleep(Math.max(0, began + next - performance.now()));
    else {
      const choice = { index: 0, delta: { content: next.text }, finish_reason: null };
      send([choice], { anabranch: next.mark });
    }
  }
  send([{ index: 0, delta: {}, finish_reason: "stop" }], {
    anabranch: { event: "delta", lane: 0, stage: null, title: null },
  });
  const tokens = pace.rate * pace.seconds;
  send([], {
    usage: { prompt_tokens: 1, completion_tokens: tokens, total_tokens: tokens + 1 },
  });
  response.end("data: [DONE]\n\n");
}

export async function servePacedLanes(
  pace: Pace,
): Promise<{ url: string; close: () => Promise<void> }> {
  const server = createServer((request, response) => {
    if (request.method === "GET") {
      const anabranch = { dialect: "aspd", context_tokens: 1_000_000 };
      const data = [{ id: pacedModel, object: "model", created: 1, owned_by: "paced", anabranch }];
      response.writeHead(200, { "content-type": "application/json" });
      response.end(JSON.stringify({ object: "list", data }));
    } else {
      request.resume();
      void stream(pace, response);
    }
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`,
    async close() {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}
