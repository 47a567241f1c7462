// One answer of the engine, recorded from its events.
import type { EngineEvent, EngineRequest, StructureRun } from "@anabranch/native";

/** What a request is doing: the point at which the soak aborts it. */
export const phases = ["queued", "prefill", "serial", "fork", "branch", "join"] as const;
export type Phase = (typeof phases)[number];

export class Transcript {
  readonly #structure: string[] = [];
  readonly #runs: StructureRun[];
  #serial: number[];
  #branches = new Map<number, number[]>();
  #planned = false;
  #phase: Phase = "queued";
  readonly #lanes = new Map<number, string[]>();
  readonly #opener: number | undefined;

  /** `opener`: the token that opens a plan, which `runs` needs to separate plans from text. */
  constructor(prompt: EngineRequest["prompt"], opener?: number) {
    this.#opener = opener;
    const runs = isStructured(prompt) ? prompt : [{ serial: [...(prompt as readonly number[])] }];
    this.#runs = runs.slice(0, -1);
    this.#serial = serialOf(runs.at(-1));
  }

  get phase(): Phase {
    return this.#phase;
  }

  record(events: readonly EngineEvent[]): void {
    for (const event of events) this.#apply(event);
    // The same step also emits tokens, which set the phase to serial or branch.
    if (events.some(({ kind }) => kind === "stageOpened")) this.#phase = "fork";
    if (events.some(({ kind }) => kind === "stageClosed")) this.#phase = "join";
  }

  /** Structure, end, and the tokens of each lane with log-probabilities: what must not differ. */
  get text(): string {
    const lanes = [...this.#lanes].sort(([a], [b]) => a - b);
    const tokens = lanes.map(([lane, tokens]) => `${lane}: ${tokens.join(" ")}`);
    return [...this.#structure, ...tokens].join("\n");
  }

  /** Prompt and answer as runs, segment by segment as they were decoded. */
  get runs(): StructureRun[] {
    return [...this.#runs, { serial: this.#serial }];
  }

  #apply(event: EngineEvent): void {
    switch (event.kind) {
      case "started":
        this.#phase = "prefill";
        break;
      case "token": {
        const { id, forced, visible, logprob } = event.token;
        const lane = this.#lanes.get(event.lane) ?? [];
        this.#lanes.set(event.lane, lane);
        lane.push(
          `${id}${forced ? "f" : ""}${visible ? "" : "h"}${logprob === undefined ? "" : `@${logprob}`}`,
        );
        this.#phase = event.lane === 0 ? "serial" : "branch";
        this.#append(event.lane, id);
        break;
      }
      case "stageOpened":
        this.#structure.push(`opened ${event.lanes.map(({ lane, title }) => `${lane}(${title})`)}`);
        this.#endSerial();
        this.#branches = new Map(event.lanes.map(({ lane }) => [lane, []]));
        break;
      case "branchClosed":
        this.#structure.push(`closed ${event.lane} ${event.reason}`);
        break;
      case "stageClosed":
        this.#structure.push(`joined ${event.stage}`);
        this.#runs.push({ parallel: [...this.#branches.values()] });
        this.#branches = new Map();
        break;
      case "finished": {
        const { reason, usage } = event;
        this.#structure.push(
          `${reason} after ${usage.completionTokens}, ${usage.visibleTokens} visible`,
        );
        break;
      }
      case "released":
      case "logits":
        break;
    }
  }

  #append(lane: number, id: number): void {
    const branch = this.#branches.get(lane);
    if (branch) {
      branch.push(id);
      return;
    }
    if (id === this.#opener && !this.#planned) {
      this.#endSerial();
      this.#planned = true;
    }
    this.#serial.push(id);
  }

  #endSerial(): void {
    if (this.#serial.length > 0) this.#runs.push({ serial: this.#serial });
    this.#serial = [];
    this.#planned = false;
  }
}

const isStructured = (prompt: EngineRequest["prompt"]): prompt is readonly StructureRun[] =>
  typeof prompt[0] === "object";

export function serialOf(run: StructureRun | undefined): number[] {
  return run && "serial" in run ? [...run.serial] : [];
}
