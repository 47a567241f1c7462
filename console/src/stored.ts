// Signals that outlive a reload.
import { effect, type Signal, signal } from "@preact/signals";

/** What `storage` has under `name`; null if it has nothing that can be read. */
function read<T>(storage: Storage, name: string): T | null {
  try {
    return JSON.parse(storage.getItem(name) ?? "null");
  } catch {
    return null;
  }
}

/** Keeps `value` if it fits; else the storage keeps nothing under this name. */
export function keep(storage: Storage, name: string, value: unknown): void {
  storage.removeItem(name);
  if (value === null) return;
  try {
    storage.setItem(name, JSON.stringify(value));
  } catch {
    // The page works as well without.
  }
}

/** A signal with the value of the last visit in this tab, or in this browser with `localStorage`. */
export function stored<T>(name: string, initial: T, storage: Storage = sessionStorage): Signal<T> {
  const value = signal<T>(read<T>(storage, name) ?? initial);
  effect(() => keep(storage, name, value.value));
  return value;
}

/** The same for an object: fields that the stored one lacks are those of `initial`. */
export function storedFields<T extends object>(name: string, initial: T): Signal<T> {
  const value = stored(name, initial);
  value.value = { ...initial, ...value.peek() };
  return value;
}
