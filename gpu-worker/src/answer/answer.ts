// From the engine's ids to the wire's text: one answer's lanes, decoded and in order.

import {
  type Delta,
  DeltaSchema,
  type Event,
  EventSchema,
  type Finished,
  FinishReason,
  type GenerateResponse,
  type StageOpened,
  type TokenLogprob,
} from "@anabranch/shared/proto/anabranch/v1/generate_pb.js";
import { create } from "@bufbuild/protobuf";
import type { TextModel } from "../model/text_model.ts";
import { AnswerDocument, type Release } from "./document.ts";
import { IncrementalText } from "./incremental_text.ts";

const utf8 = new TextEncoder();

interface Token {
  id: number;
  logprob: TokenLogprob | undefined;
}

export class Answer {
  readonly #model: TextModel;
  readonly #document: AnswerDocument;
  readonly #runs = new Map<number, IncrementalText>(); // by lane: its visible run under way
  readonly #held = new Map<number, Token[]>(); // by lane: text, or the beginning of a marker
  #openStage: number[] = [];
  /** Ends of branches and stages that wait for held-back text which stands before them. */
  readonly #ends: Event[] = [];

  constructor(model: TextModel, stops: readonly string[]) {
    this.#model = model;
    this.#document = new AnswerDocument(stops);
  }

  /** A stop string has ended the answer: the engine is to be cancelled. */
  get stopped(): boolean {
    return this.#document.stopLane !== undefined;
  }

  /** What the engine tells in one message, as the worker sends it. */
  events(response: GenerateResponse): Event[] {
    const out: Event[] = [];
    const add = (event: Event["event"]) => out.push(create(EventSchema, { event }));
    let logged = true;
    for (const { event } of response.events) {
      if (this.stopped && event.case !== "finished") {
        // Behind a stop string there is nothing but the end; only the log stays whole, so that lanes
        // which grew together can be resumed.
        if (event.case === "stageOpened" || event.case === "stageClosed") logged = false;
        if (event.case === "delta" && logged) {
          const { lane, tokenIds } = event.value;
          add({ case: "delta", value: create(DeltaSchema, { lane, tokenIds }) });
        }
        continue;
      }
      switch (event.case) {
        case "delta":
          add({ case: "delta", value: this.#delta(event.value) });
          break;
        case "stageOpened":
          this.#endRun(0);
          this.#document.close(0);
          // Ends that wait even now would need a stop string over two stages and all between them.
          out.push(...this.#ends.splice(0));
          for (const lane of event.value.lanes) this.#document.open(lane);
          this.#openStage = event.value.lanes;
          add({ case: "stageOpened", value: this.#titled(event.value) });
          break;
        case "branchClosed":
          this.#endRun(event.value.lane);
          this.#document.close(event.value.lane);
          this.#ends.push(create(EventSchema, { event }));
          this.#attach(out, this.#document.release());
          break;
        case "stageClosed":
          this.#openStage = [];
          this.#document.open(0);
          this.#ends.push(create(EventSchema, { event }));
          this.#attach(out, []);
          break;
        case "finished":
          // What is held back now is text.
          for (const [lane, { length }] of [...this.#held]) {
            const rest = create(DeltaSchema, { lane, released: length });
            add({ case: "delta", value: this.#delta(rest) });
          }
          for (const lane of [0, ...this.#openStage]) this.#endRun(lane);
          this.#attach(out, this.stopped ? [] : this.#document.flush());
          add({ case: "finished", value: this.#finished(event.value) });
          break;
        default:
          if (event.case) add(event);
      }
      if (event.case === "delta") this.#attach(out, this.#document.release());
    }
    return out;
  }

  #delta({ lane, tokenIds, visible, held, released, logprobs }: Delta): Delta {
    const shown = this.#held.get(lane)?.splice(0, released) ?? [];
    const coming = logprobs.values();
    tokenIds.forEach((id, i) => {
      const told = visible[i] || held[i];
      const token: Token = { id, logprob: told ? coming.next().value : undefined };
      if (held[i]) {
        this.#held.set(lane, [...(this.#held.get(lane) ?? []), token]);
        return;
      }
      this.#held.delete(lane); // what was still held was a marker's
      if (visible[i]) shown.push(token);
    });
    for (const { id, logprob } of shown) {
      this.#document.append(lane, this.#runOf(lane).push(id), logprob && this.#spelled(logprob));
    }
    return create(DeltaSchema, { lane, tokenIds, visibleTokens: shown.length });
  }

  #runOf(lane: number): IncrementalText {
    const known = this.#runs.get(lane);
    if (known) return known;
    const run = new IncrementalText((ids) => this.#model.decode(ids));
    this.#runs.set(lane, run);
    return run;
  }

  #endRun(lane: number): void {
    const run = this.#runs.get(lane);
    if (run) this.#document.appendRest(lane, run.end());
    this.#runs.delete(lane);
  }

  #titled(stage: StageOpened): StageOpened {
    return {
      ...stage,
      titles: stage.titleTokens.map(({ ids }) => this.#model.decode(ids).trim()),
      titleTokens: [],
    };
  }

  #spelled(logprob: TokenLogprob): TokenLogprob {
    const text = (id: number) => utf8.encode(this.#model.decode([id]));
    return {
      ...logprob,
      text: text(logprob.tokenId),
      top: logprob.top.map((alternative) => ({ ...alternative, text: text(alternative.tokenId) })),
    };
  }

  #finished(finished: Finished): Finished {
    const stopLane = this.#document.stopLane;
    if (stopLane === undefined) return finished;
    const usage = finished.usage;
    return {
      ...finished,
      reason: FinishReason.STOP,
      stopLane,
      ...(usage && { usage: { ...usage, visibleTokens: this.#document.visibleTokens } }),
    };
  }

  /** Tells the ends that are due: all text of a branch comes before its end. */
  #tellEnds(out: Event[], coming: readonly Release[]): void {
    for (let end = this.#ends[0]; end; end = this.#ends[0]) {
      if (end.event.case === "branchClosed") {
        const { lane } = end.event.value;
        if (!this.#document.isReleased(lane) || coming.some((each) => each.lane === lane)) return;
      }
      this.#ends.shift();
      out.push(end);
    }
  }

  /** Puts released text on the step's delta of its lane, or on a delta of its own. */
  #attach(out: Event[], released: Release[]): void {
    for (const [index, { lane, text, logprobs }] of released.entries()) {
      const last = out.findLast(
        ({ event }) => event.case === "delta" && event.value.lane === lane,
      )?.event;
      // A delta before a boundary of its lane must not take text from after it.
      if (last?.case === "delta" && out.at(-1)?.event === last) {
        last.value.text += text;
        last.value.logprobs.push(...logprobs);
      } else {
        const value = create(DeltaSchema, { lane, text, logprobs });
        out.push(create(EventSchema, { event: { case: "delta", value } }));
      }
      this.#tellEnds(out, released.slice(index + 1));
    }
    this.#tellEnds(out, []);
  }
}
