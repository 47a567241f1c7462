// Answers of the API that a page shows, and asks for again.
import { type Signal, useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { Failure } from "./failure.ts";

/** How often a gateway that does not answer is asked again. */
const lostMs = 2_000;

export interface Polled<T> {
  /** The last answer; null before the first. */
  data: Signal<T | null>;
  /** Why the last call failed; null if it did not. */
  failure: Signal<Failure | null>;
  /** Asks now. */
  refresh: Signal<number>;
}

/**
 * Calls `ask` when `what` changes, when `refresh` does and, if `everyMs` is given, that long after each answer while the
 * page is seen. While the gateway is away it asks again in any case.
 */
export function usePolled<T>(ask: () => Promise<T>, what: string, everyMs?: number): Polled<T> {
  const data = useSignal<T | null>(null);
  const failure = useSignal<Failure | null>(null);
  const refresh = useSignal(0);
  const count = refresh.value;
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    let over = false;
    const again = () => everyMs ?? (failure.value?.isLost ? lostMs : undefined);
    const look = async () => {
      clearTimeout(timer);
      try {
        const answer = await ask();
        if (over) return;
        data.value = answer;
        failure.value = null;
      } catch (error) {
        if (over) return;
        const found = Failure.from(error);
        const then = " This page goes on as soon as it is back.";
        failure.value = found.isLost ? new Failure(0, found.said, { then, isLost: true }) : found;
      }
      if (!document.hidden && again() !== undefined) timer = setTimeout(look, again());
    };
    const seen = () => {
      if (!document.hidden && again() !== undefined) void look();
    };
    void look();
    document.addEventListener("visibilitychange", seen);
    return () => {
      over = true;
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", seen);
    };
  }, [what, everyMs, count]);
  return { data, failure, refresh };
}
