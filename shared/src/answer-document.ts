// One answer as a document: lane events put into document order, which is serial text and branch
// bodies in title order. The worker, the gateway and the client library all use this one fold, so
// that an answer reads the same everywhere, in whatever order its lanes grow.
import { type CloseReasonWord, closeReasonWord } from "./lane-mark.ts";
import { type AnswerPart, type BranchPart, leadOf } from "./parts.ts";

/** What happens to an answer. The worker's events (lane_events.proto) have this shape. */
export type LaneEvent<Logprob = unknown> =
  | { case: "delta"; value: { lane: number; text: string; logprobs: readonly Logprob[] } }
  | {
      case: "stageOpened";
      value: {
        stage: number;
        lanes: readonly number[];
        titles: readonly string[];
        outlined?: boolean;
        declared?: boolean;
      };
    }
  | { case: "branchAccepted"; value: { lane: number } }
  | { case: "branchClosed"; value: { lane: number; reason: number | CloseReasonWord | null } }
  | { case: "stageClosed"; value: { stage: number } }
  | { case: "finished"; value: { stopLane?: number | undefined } }
  /** These change no document. */
  | { case: "started" | "echo" | "heartbeat"; value: object }
  | { case: undefined; value?: undefined };

/** A stretch of one lane's text, in one place of the document. */
export interface TextRun<Logprob = unknown> {
  readonly lane: number;
  /** The stage of the branch; null in the trunk. */
  readonly stage: number | null;
  readonly title: string | null;
  /** Shown before `text` in the answer's text: the title of a declared branch; else empty. */
  readonly lead: string;
  text: string;
  /** Of the tokens whose text starts in `text`, if they were requested. */
  logprobs: Logprob[];
  /** No more text follows. */
  closed: boolean;
  /** Why the branch ended; null while it is open, and in the trunk. */
  reason: CloseReasonWord | null;
  /** False: a branch of an outlined stage, of which it is not known yet whether it is part of the answer. */
  accepted: boolean;
  /** Not part of the answer: after a stop string, or dropped. */
  void: boolean;
}

/** A parallel stage of the answer. */
export interface Stage<Logprob = unknown> {
  readonly stage: number;
  /** In document order. */
  readonly branches: readonly TextRun<Logprob>[];
  /** Its branches are part of the answer once they are accepted; the trunk goes on before them. */
  readonly outlined: boolean;
  /** The request declared its branches. */
  readonly declared: boolean;
  closed: boolean;
}

/** What one event changed. */
export type Change<Logprob = unknown> =
  | {
      kind: "text";
      run: TextRun<Logprob>;
      /** Where in the run's text it begins. */
      at: number;
      text: string;
      logprobs: readonly Logprob[];
    }
  | { kind: "stage_opened"; stage: Stage<Logprob> }
  | { kind: "branch_accepted"; run: TextRun<Logprob> }
  | { kind: "branch_closed"; run: TextRun<Logprob> }
  | { kind: "stage_closed"; stage: Stage<Logprob> }
  | { kind: "finished"; stoppedIn: TextRun<Logprob> | null };

/** An event that fits no answer. */
export class LaneEventError extends Error {
  override readonly name = "LaneEventError";
}

const TRUNK = 0;

export class AnswerDocument<Logprob = unknown> {
  /** In document order. */
  readonly runs: TextRun<Logprob>[] = [];
  /** Where the text of each lane goes now. */
  readonly #current = new Map<number, TextRun<Logprob>>();
  #finished = false;
  readonly #stages = new Map<number, Stage<Logprob>>();
  /** Stage → the runs of the trunk before and after it. */
  readonly #trunk = new Map<number, { before: TextRun<Logprob>; after: TextRun<Logprob> }>();

  constructor() {
    const trunk = newRun<Logprob>(TRUNK, null, null);
    this.runs.push(trunk);
    this.#current.set(TRUNK, trunk);
  }

  /**
   * Applies one event. Returns what it changed, or null if the document is as before.
   * @throws LaneEventError if the event fits no answer, such as text for a lane that was never opened
   */
  apply(event: LaneEvent<Logprob>): Change<Logprob> | null {
    switch (event.case) {
      case "delta":
        return this.#append(event.value);
      case "stageOpened":
        return this.#openStage(event.value);
      case "branchAccepted":
        return this.#accept(event.value.lane);
      case "branchClosed": {
        const run = this.runOf(event.value.lane);
        run.closed = true;
        run.reason = closeReasonWord(event.value.reason);
        if (run.reason === "dropped") run.void = true;
        return { kind: "branch_closed", run };
      }
      case "stageClosed":
        return this.#closeStage(event.value.stage);
      case "finished":
        return this.#finish(event.value.stopLane);
      default:
        return null;
    }
  }

  /** The run that a lane's next text belongs to. */
  runOf(lane: number): TextRun<Logprob> {
    const run = this.#current.get(lane);
    if (!run) throw new LaneEventError(`an event names lane ${lane}, which was never opened`);
    return run;
  }

  /** The answer has ended, whatever lanes were still open. */
  get finished(): boolean {
    return this.#finished;
  }

  /** In the order in which they opened. */
  get stages(): Stage<Logprob>[] {
    return [...this.#stages.values()];
  }

  /** The text of the answer. */
  get text(): string {
    return this.runs.map((run) => (isPart(run) ? run.lead + run.text : "")).join("");
  }

  /** The same with its structure: texts and bodies in order are `text`, but for the leads. */
  get parts(): AnswerPart[] {
    const parts: AnswerPart[] = [];
    const stages = new Map<number, BranchPart[]>();
    for (const run of this.runs) {
      if (!isPart(run)) continue;
      if (run.stage === null) {
        if (run.text !== "") parts.push({ serial: run.text });
        continue;
      }
      const branches = stages.get(run.stage) ?? [];
      if (!stages.has(run.stage)) parts.push({ parallel: branches });
      stages.set(run.stage, branches);
      branches.push({ title: run.title ?? "", body: run.text });
    }
    return parts;
  }

  get logprobs(): Logprob[] {
    return this.runs.flatMap((run) => (isPart(run) ? run.logprobs : []));
  }

  #append({ lane, text, logprobs }: { lane: number; text: string; logprobs: readonly Logprob[] }) {
    // A lane of which no text is ever shown has no run.
    if (text === "" && logprobs.length === 0) return null;
    const run = this.runOf(lane);
    const at = run.text.length;
    run.text += text;
    run.logprobs.push(...logprobs);
    return { kind: "text" as const, run, at, text, logprobs };
  }

  #openStage(opened: Extract<LaneEvent, { case: "stageOpened" }>["value"]) {
    const { stage, lanes, titles, outlined = false, declared = false } = opened;
    const before = this.runOf(TRUNK);
    const branches = lanes.map((lane, index) => {
      if (this.#current.has(lane)) throw new LaneEventError(`lane ${lane} was opened twice`);
      const title = titles[index] ?? null;
      const lead = declared ? leadOf(title ?? "", index) : "";
      const branch = newRun<Logprob>(lane, stage, title, { accepted: !outlined, lead });
      this.#current.set(lane, branch);
      return branch;
    });
    // Trunk text that a stop string held back may still arrive while the stage is open, and the trunk
    // of an outlined stage goes on. It belongs before the stage, so the trunk moves to its next run
    // only when the stage closes.
    const after = newRun<Logprob>(TRUNK, null, null);
    this.runs.splice(this.runs.indexOf(before) + 1, 0, ...branches, after);
    before.closed = !outlined;
    const record: Stage<Logprob> = { stage, branches, outlined, declared, closed: false };
    this.#stages.set(stage, record);
    this.#trunk.set(stage, { before, after });
    return { kind: "stage_opened" as const, stage: record };
  }

  #accept(lane: number) {
    const run = this.runOf(lane);
    const trunk = this.#trunk.get(run.stage ?? 0);
    if (!trunk) throw new LaneEventError(`lane ${lane} was accepted but is no branch`);
    run.accepted = true;
    trunk.before.closed = true;
    return { kind: "branch_accepted" as const, run };
  }

  #closeStage(number: number) {
    const stage = this.#stages.get(number);
    const trunk = this.#trunk.get(number);
    if (!stage || !trunk || stage.closed) {
      throw new LaneEventError(`stage ${number} was closed but is not open`);
    }
    stage.closed = true;
    trunk.before.closed = true;
    this.#current.set(TRUNK, trunk.after);
    // A closed stage has no open branch, even if the end of a branch was not reported.
    for (const branch of stage.branches) {
      branch.closed = true;
      if (!branch.accepted) branch.void = true;
    }
    return { kind: "stage_closed" as const, stage };
  }

  #finish(stopLane: number | undefined) {
    const stoppedIn = stopLane === undefined ? null : this.runOf(stopLane);
    this.#finished = true;
    let past = false;
    for (const run of this.runs) {
      // What was not accepted is no part of the answer.
      run.void = past || run.void || !run.accepted;
      if (run === stoppedIn) past = true;
    }
    return { kind: "finished" as const, stoppedIn };
  }
}

const isPart = (run: TextRun): boolean => run.accepted && !run.void;

function newRun<Logprob>(
  lane: number,
  stage: number | null,
  title: string | null,
  { accepted, lead } = { accepted: true, lead: "" },
): TextRun<Logprob> {
  return {
    ...{ lane, stage, title, lead, accepted },
    ...{ text: "", logprobs: [], closed: false, reason: null, void: false },
  };
}
