// npm run bench -- gateway: what a gateway costs its clients, ours and others before the same upstream.
import { integer } from "@anabranch/shared/cli/options.ts";
import { abortDelays, eventRate, type Latency, latency, requestRate } from "./gateway/clients.ts";
import {
  direct,
  litellm,
  type Mock,
  ours,
  portkey,
  startMock,
  type Target,
} from "./gateway/targets.ts";
import type { Quantiles } from "./quantiles.ts";
import { columns, type Machine, round, say, thisMachine } from "./report.ts";
import { defineSubject } from "./subject.ts";

const help = `npm run bench -- gateway [options]

Puts gateways before one mock upstream, which answers at once, and asks each the same from this process: the
upstream itself, our gateway (Miniflare) with it as an upstream, and, where they are named, Portkey's and LiteLLM's.

Figures: time to the first and to the last byte of an answer of 10 words, whole and streamed, and what the gateway
adds to it; requests a second of 32 clients; events a second of 1, 32 and 256 streams; the most memory of the
gateway's processes; how long after a client's leaving the upstream hears of it.

  --requests N     answers of each latency and rate (default 300)
  --events N       events of each stream rate (default 60000)
  --aborts N       clients that leave, of each kind (default 10)
  --portkey DIR    where \`npm i @portkey-ai/gateway\` has installed it
  --litellm FILE   the program litellm (\`pip install 'litellm[proxy]'\`)
  --json           print one JSON value to stdout
`;

const streamCounts = [1, 32, 256];
const clients = 32;

interface TargetFigures {
  name: string;
  whole: Latency;
  /** null: its streams failed. */
  streamed: Latency | null;
  requests_per_second: number;
  /** By the number of streams. */
  events_per_second: Record<string, number> | null;
  peak_mib: number;
  abort_ms: { whole: Quantiles; streamed: Quantiles | null };
}

/** p50 and p99 of the target less those of the upstream itself, ms. */
interface Added {
  name: string;
  whole: Latency;
  streamed: Latency | null;
}

export interface GatewayFigures {
  machine: Machine;
  requests: number;
  events: number;
  targets: TargetFigures[];
  added: Added[];
}

const options = {
  requests: { type: "string", default: "300" },
  events: { type: "string", default: "60000" },
  aborts: { type: "string", default: "10" },
  portkey: { type: "string" },
  litellm: { type: "string" },
} as const;

interface Counts {
  requests: number;
  events: number;
  aborts: number;
}

/** What only streams show; null if the target can't stream this answer. */
async function measureStreams(target: Target, mock: Mock, { requests, events, aborts }: Counts) {
  try {
    await latency(target, Math.ceil(requests / 3), true);
  } catch (error) {
    say(`  ${target.name} can't stream: ${(error as Error).message}`);
    return null;
  }
  const streamed = await latency(target, requests, true);
  const rates: Record<string, number> = {};
  for (const streams of streamCounts) {
    rates[streams] = round(await eventRate(target, streams, events));
  }
  return { streamed, rates, abort: await abortDelays(target, mock, aborts, true) };
}

async function measureTarget(target: Target, mock: Mock, counts: Counts): Promise<TargetFigures> {
  const { requests, aborts } = counts;
  say(`  ${target.name}`);
  // The first answers of a process are slower than all others.
  await latency(target, Math.ceil(requests / 3), false);
  const whole = await latency(target, requests, false);
  const requestsPerSecond = await requestRate(target, clients, requests * 3);
  const streams = await measureStreams(target, mock, counts);
  return {
    ...{ name: target.name, whole, streamed: streams?.streamed ?? null },
    requests_per_second: round(requestsPerSecond),
    events_per_second: streams?.rates ?? null,
    abort_ms: {
      whole: await abortDelays(target, mock, aborts, false),
      streamed: streams?.abort ?? null,
    },
    peak_mib: round(target.peakMiB()),
  };
}

const less = (a: Quantiles, b: Quantiles): Quantiles => ({
  p50: round(a.p50 - b.p50),
  p99: round(a.p99 - b.p99),
});
const lessLatency = (a: Latency, b: Latency): Latency => ({
  first_ms: less(a.first_ms, b.first_ms),
  last_ms: less(a.last_ms, b.last_ms),
});

function table({ machine, targets, added }: GatewayFigures): string {
  const head = [
    ...["", "+first", "p99", "+last", "p99", "+whole", "p99", "req/s"],
    ...streamCounts.map((count) => `ev/s ${count}`),
    ...["MiB", "abort", "whole"],
  ];
  const rows = targets.map(({ name, events_per_second: rates, abort_ms, ...figures }) => {
    const more = added.find((each) => each.name === name);
    const times = [more?.streamed?.first_ms, more?.streamed?.last_ms, more?.whole.last_ms];
    const numbers = [
      ...times.flatMap((quantiles) => [quantiles?.p50, quantiles?.p99]),
      Math.round(figures.requests_per_second),
      ...streamCounts.map((count) => rates && Math.round(rates[count] ?? 0)),
      Math.round(figures.peak_mib),
      ...[abort_ms.streamed?.p50, abort_ms.whole.p50],
    ];
    const words = (number?: number | null) =>
      Number.isNaN(number) ? "never" : String(number ?? "–");
    return [name, ...numbers.map(words)];
  });
  return `${machine.cpu}, ${machine.cores} cores
Added to the first and last byte of a streamed answer and to the last of a whole one, ms; requests a second of ${clients}
clients; events a second of so many streams; memory; ms until the upstream hears that a client has left, streamed and not

${columns([head, ...rows]).join("\n")}
`;
}

export const subject = defineSubject({
  help,
  options,
  async measure(values): Promise<GatewayFigures> {
    const counts = {
      requests: integer("requests", values.requests, 1, 1_000_000),
      events: integer("events", values.events, 1, 100_000_000),
      aborts: integer("aborts", values.aborts, 1, 10_000),
    };
    const mock = await startMock();
    const openers = [
      async () => direct(mock),
      () => ours(mock),
      ...(values.portkey ? [() => portkey(mock, values.portkey ?? "")] : []),
      ...(values.litellm ? [() => litellm(mock, values.litellm ?? "")] : []),
    ];
    const targets: TargetFigures[] = [];
    try {
      for (const open of openers) {
        const target = await open();
        try {
          targets.push(await measureTarget(target, mock, counts));
        } finally {
          await target.stop();
        }
      }
    } finally {
      await mock.stop();
    }
    const [base, ...gateways] = targets;
    if (!base) throw new Error("nothing was measured");
    const added = gateways.map(({ name, whole, streamed }) => ({
      name,
      whole: lessLatency(whole, base.whole),
      streamed: streamed && base.streamed && lessLatency(streamed, base.streamed),
    }));
    const { requests, events } = counts;
    return { machine: thisMachine(0), requests, events, targets, added };
  },
  table,
});
