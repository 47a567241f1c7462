// From the engine's ids to the worker's text: one answer, its lanes decoded and cut at stop strings.
import { AnswerDocument } from "@anabranch/shared/answer-document.ts";
import { CloseReason, FinishReason } from "@anabranch/shared/proto/anabranch/v1/answer_pb.js";
import type {
  EngineEvent,
  EngineFinished,
  EngineStageOpened,
  EngineTokens,
  VisibleToken,
} from "@anabranch/shared/proto/anabranch/v1/engine_pb.js";
import {
  BranchAcceptedSchema,
  type Delta,
  DeltaSchema,
  type Event,
  EventSchema,
  type Finished,
  FinishedSchema,
  type StageOpened,
  StageOpenedSchema,
  StartedSchema,
  type Thinking,
  type TokenLogprob,
  TokenLogprobSchema,
} from "@anabranch/shared/proto/anabranch/v1/lane_events_pb.js";
import { create } from "@bufbuild/protobuf";
import type { TextModel } from "../model/text-model.ts";
import { IncrementalText } from "./incremental-text.ts";
import { type Release, StopFilter } from "./stop-filter.ts";

/** Enough that decoders, which drop the space at the beginning of a text, see that this is none. */
const tokensBefore = 4;

/** What `Started` says of the request, beside what the engine reports. */
export interface RequestFacts {
  seed: bigint;
  promptTokenIds: number[];
  /** How its calls of tools are written; absent: it has none. */
  toolFormat?: string;
  /** Absent: it does not begin with the model's thinking. */
  thinking?: Thinking;
}

/** Of a title that can only stand at the beginning of a line. */
const lineBeginning = /^(?:[-*+] |\d+[.)] |#+ |\|)/;

/** Whether the client sees a branch's title as the beginning of its text. */
const showsTitle = ({ title, text }: { title: string | null; text: string }): boolean =>
  title !== null && text.trimStart().startsWith(title);

export class Answer {
  readonly #model: TextModel;
  readonly #facts: RequestFacts;
  /** The end of the text that the first run continues. */
  #before: readonly number[];
  /** All decoded text, what stop strings hold back or cut off included. */
  readonly document = new AnswerDocument();
  readonly #filter: StopFilter;
  /** The trunk's tokens, and those of them that are text. */
  readonly #trunk: { all: number[]; shown: number[] } = { all: [], shown: [] };
  /** The decoder of each lane's current run of visible tokens. */
  readonly #decoders = new Map<number, IncrementalText>();
  /** Ends of branches and stages that wait for held-back text which comes before them. */
  readonly #ends: Event[] = [];
  #endsInItem = false;

  /** @param isText it continues the text of its prompt; a chat's answer begins a text */
  constructor(model: TextModel, stops: readonly string[], facts: RequestFacts, isText = false) {
    this.#model = model;
    this.#before = isText ? facts.promptTokenIds.slice(-tokensBefore) : [];
    this.#facts = facts;
    this.#filter = new StopFilter(this.document, stops);
  }

  /** A stop string has ended the answer: the engine can stop. */
  get stopped(): boolean {
    return this.#filter.stopLane !== undefined;
  }

  /** The events of one engine message, as the worker sends them. */
  events(engineEvents: readonly EngineEvent[]): Event[] {
    const wasStopped = this.stopped;
    const out: Event[] = [];
    let sameLanes = true;
    for (const { event } of engineEvents) {
      if (!this.stopped || event.case === "finished") {
        this.#apply(event, out);
        continue;
      }
      // After a stop string only the ids of this step matter: lanes that grew together can then be
      // resumed together.
      if (event.case === "stageOpened" || event.case === "stageClosed") sameLanes = false;
      if (event.case === "tokens" && sameLanes) {
        const { lane, tokenIds } = event.value;
        add(out, { case: "delta", value: create(DeltaSchema, { lane, tokenIds }) });
      }
    }
    // In later messages only `finished` matters: it carries the usage.
    return wasStopped ? out.filter(({ event }) => event.case === "finished") : out;
  }

  #apply(event: EngineEvent["event"], out: Event[]): void {
    switch (event.case) {
      case "started": {
        const { $typeName: _, ...reported } = event.value;
        const value = create(StartedSchema, { ...this.#facts, ...reported });
        add(out, { case: "started", value });
        break;
      }
      case "tokens":
        add(out, { case: "delta", value: this.#decode(event.value) });
        this.#attach(out, this.#filter.release());
        break;
      case "stageOpened": {
        // The trunk of an outlined stage goes on.
        if (!event.value.outlined) this.#endRun(0);
        // Ends that still wait now would need a stop string that spans two stages.
        out.push(...this.#ends.splice(0));
        const value = this.#titled(event.value);
        this.document.apply({ case: "stageOpened", value });
        add(out, { case: "stageOpened", value });
        break;
      }
      case "branchAccepted": {
        this.#endRun(0);
        this.document.apply(event);
        // What a stop string held back of the text before the branch comes first.
        this.#attach(out, this.#filter.release());
        const { lane } = event.value;
        add(out, { case: "branchAccepted", value: create(BranchAcceptedSchema, { lane }) });
        break;
      }
      case "branchClosed": {
        const { lane, reason } = event.value;
        this.#endRun(lane);
        this.#endLine(lane, reason !== CloseReason.MARKER);
        this.document.apply(event);
        const value = { lane, reason };
        this.#ends.push(create(EventSchema, { event: { case: "branchClosed", value } }));
        this.#attach(out, this.#filter.release());
        break;
      }
      case "stageClosed": {
        this.#endRun(0);
        this.document.apply(event);
        this.#endsInItem = this.#isInItem();
        const { stage } = event.value;
        this.#ends.push(create(EventSchema, { event: { case: "stageClosed", value: { stage } } }));
        this.#attach(out, this.#filter.release());
        break;
      }
      case "finished":
        for (const lane of [...this.#decoders.keys()]) this.#endRun(lane);
        this.#attach(out, this.stopped ? [] : this.#filter.flush());
        add(out, { case: "finished", value: this.#finished(event.value) });
        break;
      default:
        break;
    }
  }

  #decode({ lane, tokenIds, visible }: EngineTokens): Delta {
    for (const token of visible) {
      const text = this.#decoderOf(lane).push(token.tokenId);
      if (lane === 0 && text !== "") this.#beginText(text);
      this.#filter.append(lane, text, this.#logprobOf(token));
    }
    if (lane === 0) {
      this.#trunk.all.push(...tokenIds);
      this.#trunk.shown.push(...visible.map((each) => each.tokenId));
    }
    return create(DeltaSchema, { lane, tokenIds, visibleTokens: visible.length });
  }

  #decoderOf(lane: number): IncrementalText {
    const known = this.#decoders.get(lane);
    if (known) return known;
    const before = lane === 0 ? this.#before : [];
    if (lane === 0) this.#before = [];
    const decoder = new IncrementalText((ids) => this.#model.decode(ids), before);
    this.#decoders.set(lane, decoder);
    return decoder;
  }

  /** The lane's run of visible tokens has ended: what is left of it is text. */
  #endRun(lane: number): void {
    const text = this.#decoders.get(lane)?.end() ?? "";
    this.document.apply({ case: "delta", value: { lane, text, logprobs: [] } });
    this.#decoders.delete(lane);
  }

  /**
   * A branch that was cut off ends its line, so that the next one does not begin in the middle of it. So does any branch
   * before one whose visible title begins a list item, a heading or a table's row.
   */
  #endLine(lane: number, cutOff: boolean): void {
    const run = this.document.runOf(lane);
    const stage = this.document.stages.find(({ branches }) => branches.includes(run));
    // In an outlined stage the trunk writes the line ends.
    if (stage?.outlined || run.text === "" || run.text.endsWith("\n")) return;
    const next = stage?.branches[stage.branches.indexOf(run) + 1];
    if (!cutOff && !(showsTitle(run) && next?.title && lineBeginning.test(next.title))) return;
    this.document.apply({ case: "delta", value: { lane, text: "\n", logprobs: [] } });
  }

  /** Whether the stage that has just closed ends within the line of a list item, a heading or a table's row. */
  #isInItem(): boolean {
    const stage = this.document.stages.at(-1);
    const run = stage?.branches.at(-1);
    if (!run || stage?.outlined || run.text.endsWith("\n")) return false;
    return showsTitle(run) && lineBeginning.test(run.title ?? "");
  }

  /** What the trunk says behind a list is no part of its last item. */
  #beginText(text: string): void {
    if (this.#endsInItem && !/^\s/.test(text)) this.#filter.append(0, "\n\n", undefined);
    this.#endsInItem = false;
  }

  #titled({ stage, lanes, titles, outlined }: EngineStageOpened): StageOpened {
    const texts = titles.map(({ ids }) => this.#model.decode(ids).trim());
    return create(StageOpenedSchema, { stage, lanes, outlined, titles: texts });
  }

  #logprobOf({ tokenId, logprob, top }: VisibleToken): TokenLogprob | undefined {
    if (logprob === undefined) return undefined;
    const text = (id: number) => this.#model.bytesOf(id);
    return create(TokenLogprobSchema, {
      ...{ tokenId, logprob, text: text(tokenId) },
      top: top.map((each) => ({
        ...{ tokenId: each.tokenId, logprob: each.logprob, text: text(each.tokenId) },
      })),
    });
  }

  #finished({ reason, usage, end: token }: EngineFinished): Finished {
    const stopLane = this.#filter.stopLane;
    if (stopLane === undefined) {
      const end = token && this.#logprobOf(token);
      return create(FinishedSchema, { reason, ...(usage && { usage }), ...(end && { end }) });
    }
    const { visibleTokens, stopString } = this.#filter;
    const written = usage && this.document.runs.length === 1 ? this.#writtenTokens() : undefined;
    const counts = written !== undefined && {
      ...{ completionTokens: written, steps: Math.min(written, usage?.steps ?? 0) },
    };
    return create(FinishedSchema, {
      ...{ reason: FinishReason.STOP, stopLane, stopString },
      ...(usage && { usage: { ...usage, ...counts, visibleTokens } }),
    });
  }

  /**
   * Tokens of an answer without branches up to the end of its stop string. The engine decodes a few more until it
   * hears of it; how many is a matter of time.
   */
  #writtenTokens(): number {
    const { all, shown } = this.#trunk;
    let at = 0;
    for (const id of shown.slice(0, this.#filter.stopTokens)) at = all.indexOf(id, at) + 1;
    return at;
  }

  /** Sends the ends that are due: all text of a branch comes before its end. */
  #sendEnds(out: Event[], coming: readonly Release[]): void {
    for (let end = this.#ends[0]; end; end = this.#ends[0]) {
      if (end.event.case === "branchClosed") {
        const { lane } = end.event.value;
        if (!this.#filter.isReleased(lane) || coming.some((each) => each.lane === lane)) return;
      }
      this.#ends.shift();
      out.push(end);
    }
  }

  /** Puts released text on the step's delta of its lane, or on a delta of its own. */
  #attach(out: Event[], released: readonly Release[]): void {
    for (const [index, { lane, text, logprobs }] of released.entries()) {
      const last = out.at(-1)?.event;
      // A delta before an event of its lane must not take text from after it.
      if (last?.case === "delta" && last.value.lane === lane) {
        last.value.text += text;
        last.value.logprobs.push(...logprobs);
      } else {
        add(out, { case: "delta", value: create(DeltaSchema, { lane, text, logprobs }) });
      }
      this.#sendEnds(out, released.slice(index + 1));
    }
    this.#sendEnds(out, []);
  }
}

function add(out: Event[], event: Event["event"]): void {
  out.push(create(EventSchema, { event }));
}
