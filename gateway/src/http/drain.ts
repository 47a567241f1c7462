// Draining: an isolate that is about to end takes no new requests and lets its answers end, up to a limit. Local
// gateways drain on SIGTERM; Cloudflare drains by itself.
import { ApiError } from "../api-error.ts";

/** Every answer looks this often whether its time is over. */
const lookMs = 100;

let until: number | null = null;
let running = 0;

export const drainError = () =>
  new ApiError(503, "The gateway is shutting down; try again.", {
    code: "shutting_down",
    headers: { "retry-after": "1", connection: "close" },
  });

export const isDraining = () => until !== null;

/**
 * Counts an answer as running until the returned function is called. `cut` is called if the answer must end
 * before. (An isolate's requests can't end one another: each has a timer of its own.)
 */
export function beginAnswer(cut: () => void): () => void {
  running++;
  const timer = setInterval(() => {
    if (until === null || Date.now() < until) return;
    clearInterval(timer);
    cut();
  }, lookMs);
  let ended = false;
  return () => {
    clearInterval(timer);
    if (!ended) running--;
    ended = true;
  };
}

/** Refuses new answers, cuts those that run longer than `ms`, and resolves when none runs any more. */
export async function drain(ms: number): Promise<void> {
  until = Date.now() + ms;
  while (running > 0) await scheduler.wait(20);
}
