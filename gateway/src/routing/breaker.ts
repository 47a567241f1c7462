// A circuit breaker per worker: one that can't be reached is left alone, longer each time.

const firstMs = 500;
const maxMs = 15_000;
const maxWorkers = 10_000;

interface Trip {
  failures: number;
  until: number;
  registeredAt: number;
}

/** By worker id, in this isolate only: another location may reach what this one can't. */
const trips = new Map<string, Trip>();

export interface Breakable {
  id: string;
  registeredAt: number;
}

export function isBroken({ id, registeredAt }: Breakable, now = Date.now()): boolean {
  const trip = trips.get(id);
  // After it registers again, it starts with a clean record.
  return trip !== undefined && trip.registeredAt === registeredAt && now < trip.until;
}

/** Returns how many times it has failed since it last answered or registered. */
export function reportFailure({ id, registeredAt }: Breakable, now = Date.now()): number {
  const before = trips.get(id);
  const failures = before?.registeredAt === registeredAt ? before.failures + 1 : 1;
  const wait = Math.min(maxMs, firstMs * 2 ** (failures - 1));
  const [oldest] = trips.keys();
  if (trips.size > maxWorkers && oldest !== undefined) trips.delete(oldest);
  trips.set(id, { failures, until: now + wait, registeredAt });
  return failures;
}

export function reportSuccess({ id }: Breakable): void {
  trips.delete(id);
}
