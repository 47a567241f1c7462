// API keys: `sk-ab-<public id>-<secret>`. Only a keyed hash of a key is stored.

const pattern = /^sk-ab-([a-z0-9]{12})-([A-Za-z0-9]{40})$/;
const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
const encoder = new TextEncoder();

/** A uniform random word over `alphabet`: bytes that would favour some letters are drawn again. */
function randomWord(length: number, alphabet: string): string {
  const limit = 256 - (256 % alphabet.length);
  let word = "";
  while (word.length < length) {
    for (const byte of crypto.getRandomValues(new Uint8Array(length))) {
      if (byte < limit && word.length < length) word += alphabet[byte % alphabet.length];
    }
  }
  return word;
}

export interface NewKey {
  keyId: string;
  key: string;
}

export function makeKey(): NewKey {
  const keyId = randomWord(12, letters.slice(26));
  return { keyId, key: `sk-ab-${keyId}-${randomWord(40, letters)}` };
}

/** The public id of a well-formed key, else null. */
export function keyIdOf(key: string): string | null {
  return pattern.exec(key)?.[1] ?? null;
}

let signing: { secret: string; key: Promise<CryptoKey> } | undefined;

function signingKey(secret: string): Promise<CryptoKey> {
  if (signing?.secret !== secret) {
    const algorithm = { name: "HMAC", hash: "SHA-256" };
    const key = crypto.subtle.importKey("raw", encoder.encode(secret), algorithm, false, ["sign"]);
    signing = { secret, key };
  }
  return signing.key;
}

/** HMAC-SHA-256 of `text` under the environment's secret. */
export async function keyedHash(secret: string, text: string): Promise<Uint8Array> {
  const key = await signingKey(secret);
  return new Uint8Array(await crypto.subtle.sign("HMAC", key, encoder.encode(text)));
}

export function hex(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += byte.toString(16).padStart(2, "0");
  return text;
}

/** Compares two secrets in constant time. */
export async function sameSecret(a: string, b: string): Promise<boolean> {
  // Hashed first: timingSafeEqual needs equal lengths, and lengths must not leak either.
  const [left, right] = await Promise.all(
    [a, b].map((text) => crypto.subtle.digest("SHA-256", encoder.encode(text))),
  );
  if (!left || !right) return false;
  return crypto.subtle.timingSafeEqual(left, right);
}
