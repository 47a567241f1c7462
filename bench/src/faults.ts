// npm run bench -- faults: streams through a gateway and three workers, among which something breaks.
import { integer, UsageError } from "@anabranch/shared/cli/options.ts";
import { type FaultFigures, type FaultName, faultNames, runFault } from "./faults/run.ts";
import { columns, type Machine, say, thisMachine } from "./report.ts";
import { defineSubject } from "./subject.ts";

const help = `npm run bench -- faults [options]

A gateway and three workers on models/small, each a process of its own, and clients that stream answers through them,
half of them with branches. When half of the clients have some text, something breaks. Clients whose connection breaks
ask again with the same Idempotency-Key. Exits with 1 if a client gets no whole answer, or another one than when
nothing breaks, or if the pool does not become whole again; pauses are printed, not judged.

  engine     SIGKILL of a worker's engine
  worker     SIGKILL of a worker
  gateway    SIGKILL of the gateway
  network    no byte passes between the gateway and a worker, and no side is told
  drain      a worker is drained, and restarted when its answers have ended
  stalled    SIGSTOP of a worker
  lying      a worker that runs two requests and takes no more reports that it is idle

  --faults A,B     (default all)
  --streams N      at once (default 50)
  --tokens N       of each answer (default 150)
  --json           print one JSON value to stdout
`;

/** What the command prints with --json. */
export interface FaultsFigures {
  machine: Machine;
  faults: FaultFigures[];
}

function namesOf(text: string): FaultName[] {
  const known = (name: string): name is FaultName => faultNames.some((each) => each === name);
  return text.split(",").map((name) => {
    if (known(name)) return name;
    throw new UsageError(`--faults takes some of ${faultNames.join(", ")}, not ${name}`);
  });
}

export const held = ({ failed, different, pool_whole }: FaultFigures): boolean =>
  failed === 0 && different === 0 && pool_whole;

const ms = (value: number) => value.toFixed(0);

function table({ faults }: FaultsFigures): string {
  const head = ["fault", "streams", "failed", "different", "again", "p50 ms", "p99 ms", "pool"];
  const rows = faults.map((each) => [
    ...[each.fault, each.streams, each.failed, each.different, each.asked_again].map(String),
    ...[ms(each.added_pause_ms.p50), ms(each.added_pause_ms.p99)],
    each.pool_whole ? "whole" : "NOT",
  ]);
  return `clients without a whole answer, with another text, that had to ask again; the pause added to a stream
${columns([head, ...rows]).join("\n")}
`;
}

export const subject = defineSubject({
  help,
  options: {
    faults: { type: "string", default: faultNames.join(",") },
    streams: { type: "string", default: "50" },
    tokens: { type: "string", default: "150" },
  },
  async measure(values): Promise<FaultsFigures> {
    const streams = integer("streams", values.streams, 2, 1_000);
    const tokens = integer("tokens", values.tokens, 1, 100_000);
    const faults: FaultFigures[] = [];
    for (const name of namesOf(values.faults)) {
      say(`  ${name}`);
      faults.push(await runFault(name, streams, tokens));
    }
    return { machine: thisMachine(1), faults };
  },
  table,
  passed: ({ faults }) => faults.every(held),
});
