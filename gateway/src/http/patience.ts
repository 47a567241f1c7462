// Waiting for D1, which may be slow or away.

export const late = Symbol("late");

/** What the promise gives, or `late` if that takes more than `ms`. */
export function within<T>(promise: Promise<T>, ms: number): Promise<T | typeof late> {
  return Promise.race([promise, scheduler.wait(ms).then((): typeof late => late)]);
}
