// Answers of the API that a page shows, and asks for again.
import { type Signal, useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { Failure } from "./failure.ts";

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
 * page is seen.
 */
export function usePolled<T>(ask: () => Promise<T>, what: string, everyMs?: number): Polled<T> {
  const data = useSignal<T | null>(null);
  const failure = useSignal<Failure | null>(null);
  const refresh = useSignal(0);
  const count = refresh.value;
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    let over = false;
    const look = async () => {
      clearTimeout(timer);
      try {
        const answer = await ask();
        if (over) return;
        data.value = answer;
        failure.value = null;
      } catch (error) {
        if (over) return;
        failure.value = Failure.from(error);
      }
      if (everyMs !== undefined && !document.hidden) timer = setTimeout(look, everyMs);
    };
    const seen = () => {
      if (everyMs !== undefined && !document.hidden) void look();
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
