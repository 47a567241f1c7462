// npm run bench -- storm: what a gateway holds when everything happens at once.
import { amongDeaths, type DeathFigures } from "@anabranch/gateway/local/storm/deaths.ts";
import { type EqualFigures, equalRequests } from "@anabranch/gateway/local/storm/equal.ts";
import { type HostileFigures, hostileStorm } from "@anabranch/gateway/local/storm/hostile.ts";
import {
  type AbortFigures,
  afterAborts,
  type LimitFigures,
  underLimits,
} from "@anabranch/gateway/local/storm/limits.ts";
import {
  expectedStatuses,
  type SaturationFigures,
  saturated,
} from "@anabranch/gateway/local/storm/saturation.ts";
import { underWeights, type WeightFigures } from "@anabranch/gateway/local/storm/weights.ts";
import { integer, UsageError } from "@anabranch/shared/cli/options.ts";
import { type Machine, say, thisMachine } from "./report.ts";
import { defineSubject } from "./subject.ts";

const partNames = ["equal", "deaths", "limits", "hostile", "weights", "saturation"] as const;
type Part = (typeof partNames)[number];

const help = `npm run bench -- storm [options]

Our gateway on workerd, with real workers on models/small, under what must not harm it. Each part starts its own.
Exits with 1 if something is lost, counted twice or refused wrongly; times and memory are printed, not judged.

  equal        equal requests at once, over several isolates: one is decoded
  deaths       requests while leaders, engines, workers and the gateway are killed: none lost, changed or counted twice
  limits       requests at once, over several isolates, under each limit of a key; and half of the clients leave
  hostile      hostile bodies, unknown keys and half-open connections beside good streams
  weights      two tenants, one of three times the weight, who both want more than the worker can give
  saturation   more than the worker can take: 429 and 503 with a true Retry-After, memory, a quiet tenant's first text

  --parts A,B      (default all)
  --equal N        (default 1000)
  --deaths N       requests (default 200), with --kills N (default 16)
  --limits N       requests of each limit (default 200)
  --isolates N     (default 3)
  --bodies N       (default 500), with --keys N (default 10000), --connections N (default 200), --streams N (default 8)
  --weigh N        seconds of weights (default 60)
  --seconds N      of saturation (default 300), by --clients N (default 120)
  --json           print one JSON value to stdout
`;

export interface StormFigures {
  machine: Machine;
  equal: EqualFigures | null;
  deaths: DeathFigures | null;
  limits: LimitFigures[] | null;
  aborts: AbortFigures | null;
  hostile: HostileFigures | null;
  weights: WeightFigures | null;
  saturation: SaturationFigures | null;
}

/** Of a key with one limit: about a quarter of the requests fit. */
const limitsFor = (requests: number) => [
  { rpm: Math.ceil(requests / 4) },
  { tpm: requests * 15 },
  { tokens_per_month: requests * 15 },
  { max_concurrent: Math.ceil(requests / 10) },
];

/** Of its fair part: what a tenant may have more or less. */
const unfair = 0.1;

/** What is wrong, as sentences; none if the gateway held. */
export function faultsOf({
  equal,
  deaths,
  limits,
  aborts,
  hostile,
  weights,
  saturation,
}: Omit<StormFigures, "machine">): string[] {
  const faults: string[] = [];
  const claim = (holds: boolean, fault: string) => {
    if (!holds) faults.push(fault);
  };
  if (equal) {
    const { requests, generations, whole, texts, counted, hits } = equal;
    claim(generations === 1, `${generations} answers were decoded for equal requests`);
    claim(whole === requests && texts === 1, "equal requests have lost or different answers");
    claim(counted === requests && hits === requests - 1, "equal requests are counted wrongly");
  }
  if (deaths) {
    const { lost, different, counted_twice, uncounted } = deaths;
    claim(lost + different === 0, `deaths: ${lost} answers are lost, ${different} differ`);
    claim(
      counted_twice + uncounted === 0,
      `deaths: ${counted_twice} twice, ${uncounted} uncounted`,
    );
  }
  for (const { limit, overshoot, failed } of limits ?? []) {
    claim(overshoot + failed === 0, `${limit}: overshoot ${overshoot}, ${failed} failed`);
  }
  if (aborts) {
    const { usage_tokens, month_tokens, usage_requests, begun, at_once_after, requests } = aborts;
    claim(usage_tokens === month_tokens, "after aborts the month and the usage differ");
    claim(usage_requests >= begun && usage_requests <= requests, "aborted requests are miscounted");
    claim(at_once_after === requests, "aborted requests stay reserved");
  }
  if (hostile) {
    const wrong = Object.keys(hostile.statuses).filter((status) => !/^4\d\d$/.test(status));
    claim(wrong.length === 0, `hostile bodies were answered with ${wrong.join(", ")}`);
    claim(hostile.wrong_keys === 0, `${hostile.wrong_keys} unknown keys did not get 401`);
    claim(hostile.failed === 0, `${hostile.failed} good streams failed beside hostile clients`);
    claim(hostile.restarted === 0, `${hostile.restarted} processes restarted`);
  }
  for (const { weight, of_fair } of weights?.tenants ?? []) {
    const isFair = Math.abs(of_fair - 1) <= unfair;
    claim(isFair, `weight ${weight} has ${of_fair.toFixed(2)} times its fair part`);
  }
  if (saturation) {
    const { statuses, untold, retries, quiet_failed } = saturation;
    const expected = expectedStatuses.map(String);
    const wrong = Object.keys(statuses).filter((status) => !expected.includes(status));
    claim(wrong.length === 0, `saturation was answered with ${wrong.join(", ")}`);
    claim(untold === 0, `${untold} refusals have no Retry-After`);
    claim(retries.asked === retries.let_in, "a Retry-After was not true");
    claim(quiet_failed === 0, `${quiet_failed} requests of the quiet tenant failed`);
  }
  return faults;
}

const options = {
  parts: { type: "string", default: partNames.join(",") },
  equal: { type: "string", default: "1000" },
  deaths: { type: "string", default: "200" },
  kills: { type: "string", default: "16" },
  limits: { type: "string", default: "200" },
  isolates: { type: "string", default: "3" },
  bodies: { type: "string", default: "500" },
  keys: { type: "string", default: "10000" },
  connections: { type: "string", default: "200" },
  streams: { type: "string", default: "8" },
  weigh: { type: "string", default: "60" },
  seconds: { type: "string", default: "300" },
  clients: { type: "string", default: "120" },
} as const;

function partsOf(text: string): Set<Part> {
  const unknown = text.split(",").find((part) => !partNames.includes(part as Part));
  if (unknown !== undefined) {
    throw new UsageError(`--parts takes some of ${partNames.join(", ")}, not ${unknown}`);
  }
  return new Set(text.split(",") as Part[]);
}

export const subject = defineSubject({
  help,
  options,
  async measure(values): Promise<StormFigures> {
    const number = (name: Exclude<keyof typeof options, "parts">) =>
      integer(name, values[name], 1, 1_000_000);
    const parts = partsOf(values.parts);
    const run = async <T>(part: Part, measure: () => Promise<T>): Promise<T | null> => {
      if (!parts.has(part)) return null;
      say(`  ${part}`);
      return await measure();
    };
    const isolates = number("isolates");
    const requests = number("limits");
    return {
      machine: thisMachine(1),
      equal: await run("equal", () => equalRequests(number("equal"), isolates)),
      deaths: await run("deaths", () => amongDeaths(number("deaths"), number("kills"))),
      limits: await run("limits", () => underLimits(requests, isolates, limitsFor(requests))),
      aborts: await run("limits", () => afterAborts(requests, isolates)),
      hostile: await run("hostile", () =>
        hostileStorm({
          ...{ bodies: number("bodies"), keys: number("keys"), tokens: 200 },
          settle_seconds: 60,
          ...{ connections: number("connections"), streams: number("streams") },
        }),
      ),
      weights: await run("weights", () => underWeights(number("weigh"))),
      saturation: await run("saturation", () =>
        saturated({ seconds: number("seconds"), clients: number("clients") }),
      ),
    };
  },
  table: ({ machine, ...figures }) => {
    const faults = faultsOf(figures);
    const parts = Object.entries(figures).filter(([, part]) => part !== null);
    const lines = parts.map(([name, part]) => `${name}\n${JSON.stringify(part, null, 1)}\n`);
    const verdict = faults.length > 0 ? faults.join("\n") : "everything held";
    return `${machine.cpu}, ${machine.cores} cores\n${lines.join("")}\n${verdict}\n`;
  },
  passed: ({ machine: _, ...figures }) => faultsOf(figures).length === 0,
});
