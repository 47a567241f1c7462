// The credentials of this tab. They are in its session storage, which ends with the tab, and in no address.
import { computed, signal } from "@preact/signals";
import { Failure } from "./api/failure.ts";
import { stored } from "./stored.ts";

/** An API key: what the playground and a tenant's usage need. */
export const key = stored("anabranch.key", "");
/** The operator's credential: what pool, keys and audit need. */
export const admin = stored("anabranch.admin", "");

export const signedIn = computed(() => key.value !== "" || admin.value !== "");

/** Why the link that opened the page did not sign in. */
export const signInProblem = signal<string | null>(null);

export function signOut(): void {
  sessionStorage.clear();
  location.reload();
}

const fragment = "#sign-in=";

/** Exchanges the token of a link that signs in, if one opened the page, and takes it out of the address. */
export async function signInByLink(): Promise<void> {
  if (!location.hash.startsWith(fragment)) return;
  const token = location.hash.slice(fragment.length);
  history.replaceState(null, "", `${location.pathname}#/playground`);
  signInProblem.value = null;
  try {
    const response = await fetch("/sign-in", { method: "POST", body: JSON.stringify({ token }) });
    if (!response.ok) throw await Failure.of(response);
    const given = (await response.json()) as { key: string; admin: string };
    key.value = given.key;
    admin.value = given.admin;
  } catch (error) {
    if (!signedIn.value) signInProblem.value = Failure.from(error).said;
  }
}
