// npm run bench -- routing: the router's choices in a large pool, in simulated time.
import { decimal, integer } from "@anabranch/shared/cli/options.ts";
import { columns, type Machine, say, thisMachine } from "./report.ts";
import { type PolicyFigures, type Pool, policies, simulate } from "./routing/simulation.ts";
import { defineSubject } from "./subject.ts";

const help = `npm run bench -- routing [options]

Simulates a pool that is asked by conversations of several turns, four in ten answers with branches. The gateway's
router and each worker's queue are the real code; a worker's time is a model of steps that grow with its lanes and with
the prompts that it computes beside them, as far as its prefix cache does not have them. Every policy gets the same requests.

  ours           the worker that is expected to have the first token soonest
  no-prefix      ours, without the prompt's beginning
  least-loaded   by the reports alone, which are up to a second old
  round-robin, random

  --workers N    (default 1000)
  --gateways N   isolates, each of which knows what it sent itself (default 8)
  --rate N       requests a minute (default 100000)
  --seconds N    of simulated time (default 30)
  --slow X       share of the workers that take twice as long for each step (default 0)
  --json         print one JSON value to stdout
`;

/** What the command prints with --json. */
export interface RoutingFigures extends Pool {
  machine: Machine;
  policies: PolicyFigures[];
}

function table({ policies: figures, workers, requestsPerMinute, seconds }: RoutingFigures): string {
  const head = ["policy", "first", "p99", "whole", "p99", "prefix", "refused", "us", "p99"];
  const rows = figures.map((each) => [
    each.policy,
    ...[each.first_token_ms, each.answer_ms].flatMap(({ p50, p99 }) => [
      p50.toFixed(0),
      p99.toFixed(0),
    ]),
    `${(100 * each.prefix_hits).toFixed(1)}%`,
    ...[each.refused, each.decision_us.p50.toFixed(0), each.decision_us.p99.toFixed(0)].map(String),
  ]);
  return `${workers} workers, ${requestsPerMinute} requests a minute, ${seconds} s: ms to the first token and to the whole
answer, p50 and p99; prompt tokens found in prefix caches; requests refused; microseconds of a decision
${[head, ...rows].map(([name = "", ...cells]) => name.padEnd(14) + columns([cells])[0]).join("\n")}
`;
}

export const subject = defineSubject({
  help,
  options: {
    workers: { type: "string", default: "1000" },
    gateways: { type: "string", default: "8" },
    rate: { type: "string", default: "100000" },
    seconds: { type: "string", default: "30" },
    slow: { type: "string", default: "0" },
  },
  async measure(values): Promise<RoutingFigures> {
    const pool: Pool = {
      workers: integer("workers", values.workers, 1, 100_000),
      gateways: integer("gateways", values.gateways, 1, 1_000),
      requestsPerMinute: integer("rate", values.rate, 1, 10_000_000),
      seconds: integer("seconds", values.seconds, 1, 3_600),
      slow: decimal("slow", values.slow, 0, 1),
    };
    const figures: PolicyFigures[] = [];
    for (const policy of policies) {
      say(`  ${policy}`);
      figures.push(await simulate(policy, pool));
    }
    return { machine: thisMachine(1), ...pool, policies: figures };
  },
  table,
});
