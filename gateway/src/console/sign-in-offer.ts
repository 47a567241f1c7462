// Signing in to the console of a local gateway by a link: `npm start` makes an offer and prints a link with its token, and
// the page exchanges the token for the credentials. One offer at a time, in the memory of the one isolate.
import { sameSecret } from "../auth/api-key.ts";

export const offerSeconds = 600;

interface Offer {
  token: string;
  key: string;
  /** ms since the epoch */
  until: number;
}

let open: Offer | null = null;

/** Replaces the offer before. Returns the token, 256 random bits in hex. */
export function makeOffer(key: string): string {
  const bytes = crypto.getRandomValues(new Uint8Array(32));
  const token = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  open = { token, key, until: Date.now() + 1_000 * offerSeconds };
  return token;
}

/** The key of the offer with this token, which then has ended; null if there is none or its time is over. */
export async function takeOffer(token: string): Promise<string | null> {
  const offer = open;
  if (!offer || !(await sameSecret(token, offer.token))) return null;
  // Another request may have taken it meanwhile.
  if (open !== offer) return null;
  open = null;
  return offer.until > Date.now() ? offer.key : null;
}
