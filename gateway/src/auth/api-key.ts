// API keys: `sk-ab-<public id>-<secret><check>`. Only a keyed hash of a key is stored. The check is made from the
// rest under the environment's secret, so that a key that nobody made is told without asking the store.

const checkLength = 6;
const pattern = /^(sk-ab-([a-z0-9]{12})-[A-Za-z0-9]{40})([A-Za-z0-9]{6})$/;
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

async function checkOf(secret: string, body: string): Promise<string> {
  const hash = await keyedHash(secret, `check:${body}`);
  return Array.from(hash.subarray(0, checkLength), (byte) => letters[byte % letters.length]).join(
    "",
  );
}

/** A new key under the environment's secret. */
export async function makeKey(secret: string): Promise<NewKey> {
  const keyId = randomWord(12, letters.slice(26));
  const body = `sk-ab-${keyId}-${randomWord(40, letters)}`;
  return { keyId, key: body + (await checkOf(secret, body)) };
}

/** The public id of a key that was made under `secret`, else null. */
export async function keyIdOf(secret: string, key: string): Promise<string | null> {
  const [, body = "", keyId = "", check = ""] = pattern.exec(key) ?? [];
  if (keyId === "") return null;
  return (await sameSecret(check, await checkOf(secret, body))) ? keyId : null;
}

/** The key and not its promise: a request must not await what another one began. */
let signing: { secret: string; key: CryptoKey } | undefined;

async function signingKey(secret: string): Promise<CryptoKey> {
  if (signing?.secret === secret) return signing.key;
  const algorithm = { name: "HMAC", hash: "SHA-256" };
  const bytes = encoder.encode(secret);
  const key = await crypto.subtle.importKey("raw", bytes, algorithm, false, ["sign"]);
  signing = { secret, key };
  return key;
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
