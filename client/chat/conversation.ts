// The turns of a conversation with one model, and how each is shown.
import { createLogUpdate } from "log-update";
import type { Anabranch, Answer, AnswerRequest, AnswerStream, Message } from "../src/index.ts";
import { lineOf, type Turn } from "./report.ts";
import { plain, riverOf } from "./river.ts";

export type Mode = "auto" | "serial" | "parallel";

interface Showing {
  /** Nothing is shown. */
  quiet: boolean;
}

export class Conversation {
  readonly #client: Anabranch;
  readonly #request: Omit<AnswerRequest, "messages">;
  readonly #messages: Message[] = [];
  #running: AbortController | null = null;
  /** Whether the last answer was stopped. */
  stopped = false;

  constructor(client: Anabranch, request: Omit<AnswerRequest, "messages">) {
    this.#client = client;
    this.#request = request;
  }

  /** Ends the answer that runs. @returns whether there was one */
  stop(): boolean {
    this.stopped = this.#running !== null;
    this.#running?.abort();
    return this.stopped;
  }

  /** @throws AnabranchError */
  async ask(question: string, mode: Mode, showing: Showing): Promise<Turn> {
    const turn = await this.#answer(question, { mode }, showing);
    this.#keep(question, turn);
    return turn;
  }

  /** The same question serially, then in branches, neither from the cache. */
  async race(question: string, showing: Showing): Promise<[serial: Turn, parallel: Turn]> {
    const cache = "bypass" as const;
    const serial = await this.#answer(question, { mode: "serial", cache }, showing);
    if (this.stopped) return [serial, serial];
    const parallel = await this.#answer(question, { mode: "parallel", cache }, showing);
    this.#keep(question, parallel);
    return [serial, parallel];
  }

  #keep(content: string, { answer }: Turn): void {
    if (answer) this.#messages.push({ role: "user", content }, answer.message);
  }

  async #answer(
    content: string,
    options: AnswerRequest["anabranch"],
    { quiet }: Showing,
  ): Promise<Turn> {
    const show = quiet ? silent : process.stdout.isTTY ? drawn() : printed;
    const running = new AbortController();
    this.#running = running;
    this.stopped = false;
    const request: AnswerRequest = {
      ...this.#request,
      messages: [...this.#messages, { role: "user", content }],
      anabranch: { ...options, stream: show.stream },
    };
    // Times are measured: the gateway does not keep the answer before its end is sent.
    const sent = { signal: running.signal, idempotencyKey: null };
    const stream = this.#client.stream(request, sent);
    const began = performance.now();
    let firstTextMs: number | null = null;
    let answer: Answer | null = null;
    try {
      for await (const event of stream) {
        if (event.kind !== "text" || event.text === "") continue;
        firstTextMs ??= performance.now() - began;
        show.text(stream, event.text);
      }
      answer = await stream.finalAnswer();
    } catch (error) {
      if (!running.signal.aborted) throw error;
    } finally {
      this.#running = null;
      show.end(stream);
    }
    const turn = { answer, text: stream.document.text, firstTextMs, ms: performance.now() - began };
    if (!quiet) process.stderr.write(`${lineOf(turn)}\n`);
    return turn;
  }
}

/** One way of showing an answer. */
interface Shown {
  stream: "lanes" | "ordered";
  text(stream: AnswerStream, text: string): void;
  end(stream: AnswerStream): void;
}

const silent: Shown = { stream: "lanes", text() {}, end() {} };

/** In document order, as it comes. */
const printed: Shown = {
  stream: "ordered",
  text: (_, text) => void process.stdout.write(plain(text)),
  end: () => void process.stdout.write("\n"),
};

const frameMs = 50;
/** Of a terminal that does not tell its width. */
const columnsUnknown = Number(process.env.COLUMNS) || 80;

/** In place, branches side by side. */
function drawn(): Shown {
  const { stdout } = process;
  const update = createLogUpdate(stdout);
  const river = ({ document }: AnswerStream) =>
    riverOf(document.parts, stdout.columns || columnsUnknown);
  let last = 0;
  return {
    stream: "lanes",
    text(stream) {
      if (performance.now() - last < frameMs) return;
      last = performance.now();
      update(river(stream));
    },
    // What was taller than the screen is then there as a whole.
    end(stream) {
      update.clear();
      update.done();
      stdout.write(`${river(stream)}\n`);
    },
  };
}
