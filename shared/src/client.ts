// The client library: puts the chunks of a `lanes` stream together into the answer's text and its
// branches. It works on the chunks of any OpenAI SDK, which leave the field `anabranch` in place:
//
//     const answer = new LaneAnswer();
//     for await (const chunk of stream) answer.push(chunk);
//     answer.text; answer.stages[0]?.branches.map(({ title, text }) => …);
//     messages.push(answer.message, { role: "user", content: "And then?" });
import type { LaneMark } from "./lane-mark.ts";
import type { AnswerPart } from "./parts.ts";

export type { LaneEventName, LaneMark } from "./lane-mark.ts";
export type { AnswerPart, BranchPart } from "./parts.ts";

/** As much of a `chat.completion.chunk` or `text_completion` chunk as is looked at. */
export interface LaneChunk {
  choices: readonly {
    index?: number;
    delta?: { content?: string | null };
    text?: string;
    finish_reason?: string | null;
  }[];
}

export interface Branch {
  lane: number;
  title: string;
  text: string;
  closed: boolean;
  reason: LaneMark["reason"];
  /** Behind a stop string, so not part of the answer. */
  void: boolean;
}

export interface Stage {
  stage: number;
  branches: Branch[];
  closed: boolean;
}

/** A run of trunk text, or one stage. */
export type Part = { kind: "serial"; text: string } | ({ kind: "stage" } & Stage);

function markOf(chunk: LaneChunk): LaneMark | null {
  const mark: unknown = Reflect.get(chunk, "anabranch");
  return typeof mark === "object" && mark !== null && "event" in mark ? (mark as LaneMark) : null;
}

/** An assistant message to go on from, with the structure of the answer it was. */
export interface AnswerMessage {
  role: "assistant";
  content: string;
  anabranch: { parts: AnswerPart[] };
}

export class LaneAnswer {
  /** Which choice of the stream it is. */
  readonly index: number;
  /** In document order; live, so that a page can draw branches as they grow. */
  readonly parts: Part[] = [];
  finishReason: string | null = null;
  readonly #branches = new Map<number, Branch>();

  constructor(index = 0) {
    this.index = index;
  }

  /** Serial text and branch bodies in title order: what an `ordered` stream would have said. */
  get text(): string {
    return this.parts
      .map((part) =>
        part.kind === "serial"
          ? part.text
          : part.branches.map((branch) => (branch.void ? "" : branch.text)).join(""),
      )
      .join("");
  }

  get stages(): Stage[] {
    return this.parts.filter((part) => part.kind === "stage");
  }

  /** For the next request's `messages`; with it the worker finds the KV of every branch again. */
  get message(): AnswerMessage {
    const parts = this.parts.flatMap((part): AnswerPart[] => {
      if (part.kind === "serial") return [{ serial: part.text }];
      const branches = part.branches.filter((branch) => !branch.void);
      const parallel = branches.map(({ title, text }) => ({ title, body: text }));
      return parallel.length > 0 ? [{ parallel }] : [];
    });
    return { role: "assistant", content: this.text, anabranch: { parts } };
  }

  /**
   * Takes the next chunk; returns its mark, or null where it has none (usage, plain streams) or is
   * another choice's.
   */
  push(chunk: LaneChunk): LaneMark | null {
    const [choice] = chunk.choices;
    if ((choice?.index ?? this.index) !== this.index) return null;
    const mark = markOf(chunk);
    if (choice?.finish_reason) this.finishReason = choice.finish_reason;
    const text = choice?.delta?.content ?? choice?.text ?? "";
    if (!mark) {
      // A plain `ordered` stream is an answer with nothing but serial text.
      this.#appendSerial(text);
      return null;
    }
    switch (mark.event) {
      case "delta":
        this.#append(mark, text);
        break;
      case "stage_opened":
        this.#open(mark);
        break;
      case "branch_closed": {
        const branch = this.#branches.get(mark.lane);
        if (branch) Object.assign(branch, { closed: true, reason: mark.reason });
        break;
      }
      case "stage_closed": {
        const stage = this.stages.find((each) => each.stage === mark.stage);
        if (stage) stage.closed = true;
        break;
      }
    }
    if (mark.stop_lane !== undefined) this.#stop(mark.stop_lane);
    return mark;
  }

  #open(mark: LaneMark): void {
    const branches = (mark.lanes ?? []).map((lane, index): Branch => {
      const title = mark.titles?.[index] ?? "";
      return { lane, title, text: "", closed: false, reason: undefined, void: false };
    });
    for (const branch of branches) this.#branches.set(branch.lane, branch);
    this.parts.push({ kind: "stage", stage: mark.stage ?? 0, branches, closed: false });
  }

  #append(mark: LaneMark, text: string): void {
    if (text === "") return;
    const branch = this.#branches.get(mark.lane);
    if (branch) branch.text += text;
    else this.#appendSerial(text);
  }

  #appendSerial(text: string): void {
    if (text === "") return;
    const last = this.parts.at(-1);
    const before = this.parts.at(-2);
    if (last?.kind === "serial") last.text += text;
    else if (last && !last.closed) {
      // Trunk text that a stop string held back belongs before the stage that is open.
      if (before?.kind === "serial") before.text += text;
      else this.parts.splice(-1, 0, { kind: "serial", text });
    } else this.parts.push({ kind: "serial", text });
  }

  #stop(lane: number): void {
    const at = this.parts.findIndex(
      (part) => part.kind === "stage" && part.branches.some((branch) => branch.lane === lane),
    );
    const part = this.parts[at];
    if (part?.kind !== "stage") {
      // The trunk itself was stopped before the open stage.
      const last = this.parts.at(-1);
      if (last?.kind === "stage" && !last.closed)
        for (const each of last.branches) each.void = true;
      return;
    }
    let past = false;
    for (const branch of part.branches) {
      branch.void = past;
      if (branch.lane === lane) past = true;
    }
    this.parts.length = at + 1;
  }
}

/** A whole stream at once: `const answer = await collectLanes(stream)`. */
export async function collectLanes(stream: AsyncIterable<LaneChunk>): Promise<LaneAnswer> {
  const [answer = new LaneAnswer()] = await collectChoices(stream, 1);
  return answer;
}

/** The same of a stream that was asked for `n` choices. */
export async function collectChoices(
  stream: AsyncIterable<LaneChunk>,
  n: number,
): Promise<LaneAnswer[]> {
  const answers = Array.from({ length: n }, (_, index) => new LaneAnswer(index));
  for await (const chunk of stream) for (const answer of answers) answer.push(chunk);
  return answers;
}
