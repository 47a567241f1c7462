// A worker that can't be reached is left alone for a while, longer each time.

const firstMs = 500;
const longestMs = 15_000;

interface Trip {
  failures: number;
  until: number;
  registeredAt: number;
}

/** By worker id, in this isolate only: what one location can't reach another may. */
const trips = new Map<string, Trip>();

export interface Breakable {
  id: string;
  registeredAt: number;
}

export function isBroken({ id, registeredAt }: Breakable, now = Date.now()): boolean {
  const trip = trips.get(id);
  // One that registered anew is a new one.
  return trip !== undefined && trip.registeredAt === registeredAt && now < trip.until;
}

export function reportFailure({ id, registeredAt }: Breakable, now = Date.now()): void {
  const before = trips.get(id);
  const failures = before?.registeredAt === registeredAt ? before.failures + 1 : 1;
  const wait = Math.min(longestMs, firstMs * 2 ** (failures - 1));
  trips.set(id, { failures, until: now + wait, registeredAt });
}

export function reportSuccess({ id }: Breakable): void {
  trips.delete(id);
}
