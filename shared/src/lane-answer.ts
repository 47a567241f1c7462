// The answer of a `lanes` stream, put together from its chunks. `@anabranch/client` builds on it, and hands it on for
// streams of other clients, such as OpenAI's SDK: these leave the field `anabranch` of a chunk in place.
//
//     const answer = new LaneAnswer();
//     for await (const chunk of stream) answer.push(chunk);
//     answer.text; answer.stages[0]?.branches.map(({ title, text }) => …);
//     messages.push(answer.message, { role: "user", content: "And then?" });
import {
  AnswerDocument,
  type Change,
  type LaneEvent,
  type Stage,
  type TextRun,
} from "./answer-document.ts";
import type { LaneMark } from "./lane-mark.ts";
import type { AnswerPart } from "./parts.ts";

export type { Change, Stage, TextRun } from "./answer-document.ts";
export type { CloseReasonWord } from "./lane-mark.ts";
export type { AnswerPart, BranchPart } from "./parts.ts";

/** The fields of a `chat.completion.chunk` or `text_completion` chunk that are read here. */
export interface LaneChunk {
  choices: readonly {
    index?: number;
    delta?: { content?: string | null };
    text?: string;
    logprobs?: object | null;
    finish_reason?: string | null;
  }[];
}

/** One branch: its `title`, its `text` so far, whether and why it ended. */
export type Branch = TextRun;

/** A run of trunk text, or one stage. */
export type Part = { kind: "serial"; text: string } | ({ kind: "stage" } & Stage);

function markOf(chunk: LaneChunk): LaneMark | null {
  const mark: unknown = Reflect.get(chunk, "anabranch");
  return typeof mark === "object" && mark !== null && "event" in mark ? (mark as LaneMark) : null;
}

/** The answer as an assistant message for the next request, with its structure. */
export interface AnswerMessage {
  role: "assistant";
  content: string;
  anabranch: { parts: AnswerPart[] };
}

/** Those of a chat's chunk, token by token. */
function logprobsOf({ logprobs }: LaneChunk["choices"][number]): readonly unknown[] {
  const content: unknown = logprobs ? Reflect.get(logprobs, "content") : null;
  return Array.isArray(content) ? content : [];
}

const trunk = { lane: 0, stage: null, title: null };

/** What a chunk's mark means for the document. */
function eventOf(mark: LaneMark, text: string, logprobs: readonly unknown[]): LaneEvent {
  const { lane } = mark;
  const stage = mark.stage ?? 0;
  switch (mark.event) {
    case "delta":
      return { case: "delta", value: { lane, text, logprobs } };
    case "stage_opened": {
      const { lanes = [], titles = [], outlined = false, declared = false } = mark;
      return { case: "stageOpened", value: { stage, lanes, titles, outlined, declared } };
    }
    case "branch_accepted":
      return { case: "branchAccepted", value: { lane } };
    case "branch_closed":
      return { case: "branchClosed", value: { lane, reason: mark.reason ?? null } };
    case "stage_closed":
      return { case: "stageClosed", value: { stage } };
  }
}

export class LaneAnswer {
  /** The choice of the stream that this answer follows. */
  readonly index: number;
  finishReason: string | null = null;
  readonly #document = new AnswerDocument();

  constructor(index = 0) {
    this.index = index;
  }

  /** Serial text and branch bodies in title order: what an `ordered` stream would have sent. */
  get text(): string {
    return this.#document.text;
  }

  /** In document order. Stages and branches are live objects: a page can draw them as they grow. */
  get parts(): Part[] {
    const parts: Part[] = [];
    const stages = new Map(this.#document.stages.map((stage) => [stage.branches[0], stage]));
    for (const run of this.#document.runs) {
      const stage = stages.get(run);
      if (stage) parts.push({ kind: "stage", ...stage });
      else if (run.stage === null && !run.void && run.text !== "") {
        parts.push({ kind: "serial", text: run.text });
      }
    }
    return parts;
  }

  get stages(): Stage[] {
    return this.#document.stages;
  }

  /** The branches of all stages by their titles, as live objects. Of equal titles the last one counts. */
  get branches(): Map<string, Branch> {
    const branches = this.stages.flatMap((stage) => stage.branches).filter(({ void: no }) => !no);
    return new Map(branches.map((branch) => [branch.title ?? "", branch]));
  }

  /** Of the tokens in `text`, in its order, if the request asked for them. */
  get logprobs(): unknown[] {
    return this.#document.logprobs;
  }

  /** For the `messages` of the next request: with it the worker finds the KV of every branch again. */
  get message(): AnswerMessage {
    const { text: content, parts } = this.#document;
    return { role: "assistant", content, anabranch: { parts } };
  }

  /**
   * Takes the next chunk. Returns what it changed: nothing if it has neither text nor an event, or belongs to another
   * choice.
   * @throws LaneEventError if the chunks are not those of one answer in order
   */
  push(chunk: LaneChunk): Change[] {
    const [choice] = chunk.choices;
    if (!choice || (choice.index ?? this.index) !== this.index) return [];
    const text = choice.delta?.content ?? choice.text ?? "";
    const mark = markOf(chunk);
    // A plain `ordered` stream is an answer with nothing but serial text.
    const events = [eventOf(mark ?? { event: "delta", ...trunk }, text, logprobsOf(choice))];
    if (choice.finish_reason) this.finishReason = choice.finish_reason;
    if (!this.#document.finished && (choice.finish_reason || mark?.stop_lane !== undefined)) {
      events.push({ case: "finished", value: { stopLane: mark?.stop_lane } });
    }
    return events.flatMap((event) => this.#document.apply(event) ?? []);
  }
}

/**
 * The branches of an answer that was not streamed, by their titles:
 * `bodiesOf(completion.choices[0].message).get("Price")`. Of equal titles the last one counts.
 */
export function bodiesOf(message: object): Map<string, string> {
  const { parts = [] } = (Reflect.get(message, "anabranch") ?? {}) as { parts?: AnswerPart[] };
  const branches = parts.flatMap((part) => ("parallel" in part ? part.parallel : []));
  return new Map(branches.map(({ title, body }) => [title, body]));
}

/** Reads a whole stream: `const answer = await collectLanes(stream)`. */
export async function collectLanes(stream: AsyncIterable<LaneChunk>): Promise<LaneAnswer> {
  const [answer = new LaneAnswer()] = await collectChoices(stream, 1);
  return answer;
}

/** The same for a stream with `n` choices. */
export async function collectChoices(
  stream: AsyncIterable<LaneChunk>,
  n: number,
): Promise<LaneAnswer[]> {
  const answers = Array.from({ length: n }, (_, index) => new LaneAnswer(index));
  for await (const chunk of stream) for (const answer of answers) answer.push(chunk);
  return answers;
}
