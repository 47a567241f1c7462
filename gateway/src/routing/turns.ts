// Tenants take turns at the workers: of one that comes with hundreds of requests at once, only some are on their way to a
// worker, so that another tenant's request does not wait behind all of them.
//
// A request that waits looks again and again whether its turn has come. Nobody wakes it: in workerd, what goes on because
// another request resolved its promise may go on as a part of that other request, and ends with it, without a word to
// its own client.
import { ApiError } from "../api-error.ts";
import type { PoolWorker } from "../pool/pool.ts";

/** To begin an answer takes some milliseconds of this isolate's thread and of the worker's. */
const atOnce = 24;
/** How often those look who may go next; others more rarely. */
const lookMs = 4;
const rarelyMs = 50;
/** One that did not look for this long is gone: its client left, and nothing of the request runs any more. If it does, it waits anew. */
const silentMs = 2_000;
/** No turn is longer: a request gives up before. */
const maxMs = 40_000;

/** A request that waits, or whose turn it is. */
interface Ticket {
  /** When it last looked, or when its turn began. */
  at: number;
}

/** Of one tenant at one worker. */
interface Turns {
  waiting: Ticket[];
  going: Ticket[];
}

const turns = new Map<string, Turns>();

/** Those that are there; whoever is gone is forgotten. */
function present(name: string, now: number): Turns {
  const { waiting, going } = turns.get(name) ?? { waiting: [], going: [] };
  const left = {
    waiting: waiting.filter(({ at }) => now - at < silentMs),
    going: going.filter(({ at }) => now - at < maxMs),
  };
  turns.set(name, left);
  return left;
}

/** Ends its turn, or its waiting. */
function leave(name: string, ticket: Ticket): void {
  const all = turns.get(name);
  if (!all) return;
  all.waiting = all.waiting.filter((each) => each !== ticket);
  all.going = all.going.filter((each) => each !== ticket);
  if (all.waiting.length + all.going.length === 0) turns.delete(name);
}

/** Begins its turn, if it has come. Returns how many go before it. */
function look(name: string, ticket: Ticket): number {
  const now = Date.now();
  ticket.at = now;
  const all = present(name, now);
  if (!all.waiting.includes(ticket)) all.waiting.push(ticket);
  const place = all.waiting.indexOf(ticket);
  const before = Math.max(0, place + 1 - (atOnce - all.going.length));
  if (before > 0) return before;
  all.waiting.splice(place, 1);
  all.going.push(ticket);
  return 0;
}

/**
 * Resolves when a request of the tenant may go to the worker, with what ends its turn: call it once the worker has said
 * something, or won't. Rejects if `signal` is aborted before.
 */
export async function takeTurn(
  tenant: string,
  worker: PoolWorker,
  signal: AbortSignal,
): Promise<() => void> {
  // An upstream need not say anything before an answer's first text.
  if (worker.upstream) return () => {};
  const name = JSON.stringify([tenant, worker.id]);
  const ticket: Ticket = { at: 0 };
  const end = () => leave(name, ticket);
  signal.addEventListener("abort", end, { once: true });
  for (let before = look(name, ticket); before > 0; before = look(name, ticket)) {
    await scheduler.wait(Math.min(rarelyMs, lookMs * Math.ceil(before / atOnce)));
    if (signal.aborted) {
      throw new ApiError(499, "The client left.", { code: "client_closed" });
    }
  }
  return end;
}
