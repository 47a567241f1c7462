// An answer that has begun: its choices, decoded side by side.
import type { ApiError } from "../api-error.ts";
import type { SharedAnswer } from "../cache/shared-answer.ts";
import { type Counts, sumOfChoices, sumOfPrompts } from "../usage/counts.ts";
import type { UsageRecorder } from "../usage/usage-recorder.ts";
import { Choice, type Source } from "./choice.ts";

export interface AnswerHead {
  /** Of the completion, as clients see it. */
  id: string;
  model: string;
  /** Seconds since the epoch. */
  createdAt: number;
}

export class Answer {
  readonly head: AnswerHead;
  readonly usage: UsageRecorder;
  readonly choices: readonly Choice[];
  readonly #choicesPerPrompt: number;
  readonly #shared: SharedAnswer | null;
  #stored: Promise<void> = Promise.resolve();
  #cutBy: ApiError | null = null;

  constructor(
    head: AnswerHead,
    usage: UsageRecorder,
    sources: readonly Source[],
    choicesPerPrompt: number,
    shared: SharedAnswer | null,
  ) {
    this.head = head;
    this.usage = usage;
    this.choices = sources.map((source, index) => new Choice(head.id, index, source));
    this.#choicesPerPrompt = choicesPerPrompt;
    this.#shared = shared;
  }

  /** Resolves when a complete answer is in the cache, if it belongs there, and when an incomplete one has left it. */
  get stored(): Promise<void> {
    return this.#stored;
  }

  /** The tokens of all choices so far. Those of one prompt share it: it counts once. */
  get counts(): Counts {
    const size = this.#choicesPerPrompt;
    const counts = this.choices.map((choice) => choice.counts);
    return sumOfPrompts(
      Array.from({ length: counts.length / size }, (_, prompt) =>
        sumOfChoices(counts.slice(prompt * size, (prompt + 1) * size)),
      ),
    );
  }

  /**
   * Runs `task` for every choice, side by side. The first that fails stops the others, and its error is
   * thrown when all have stopped.
   */
  async complete(task: (choice: Choice) => Promise<void>): Promise<void> {
    try {
      await allOrStop(this.choices.map(task), () => this.cancel());
    } catch (error) {
      this.#stored = this.#shared?.abandon() ?? this.#stored;
      throw error;
    }
    const digests = new Set(this.choices.map(({ modelDigest }) => modelDigest));
    this.#stored =
      (digests.size === 1
        ? this.#shared?.keep(this.choices.map(({ log }) => log))
        : this.#shared?.abandon()) ?? this.#stored;
  }

  /** Why the gateway ended it early; null if it did not. */
  get cutBy(): ApiError | null {
    return this.#cutBy;
  }

  /** Ends it early: it fails with `reason`. */
  cut(reason: ApiError): void {
    this.#cutBy = reason;
    this.cancel();
  }

  /** Stops the workers at their next step. */
  cancel(): void {
    for (const choice of this.choices) choice.cancel();
  }
}

/** Calls `stop` when the first of `tasks` fails, and throws its error when all have ended. */
export async function allOrStop<T>(tasks: readonly Promise<T>[], stop: () => void): Promise<T[]> {
  let failure: { error: unknown } | undefined;
  const results = await Promise.allSettled(
    tasks.map((task) =>
      task.catch((error: unknown) => {
        failure ??= { error };
        stop();
        throw error;
      }),
    ),
  );
  if (failure) throw failure.error;
  return results.flatMap((result) => (result.status === "fulfilled" ? [result.value] : []));
}
