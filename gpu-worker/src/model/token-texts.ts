// What each token of a vocabulary writes by itself: as text for outlines, as bytes for grammars.
import type { Json } from "./model-files.ts";

/** GPT-2's printable stand-ins for bytes (https://github.com/openai/gpt-2), as character → byte. */
const bytes: ReadonlyMap<string, number> = (() => {
  const printable = (byte: number) =>
    (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xff && byte !== 0xad);
  const out = new Map<string, number>();
  let next = 0x100;
  for (let byte = 0; byte < 256; byte++) {
    out.set(String.fromCharCode(printable(byte) ? byte : next++), byte);
  }
  return out;
})();

const utf8 = new TextDecoder();
const inUtf8 = new TextEncoder();

function byteLevelBytes(token: string): Uint8Array {
  const found = [...token].map((character) => bytes.get(character));
  return found.includes(undefined) ? inUtf8.encode(token) : Uint8Array.from(found as number[]);
}

function sentencePieceBytes(token: string): Uint8Array {
  const byte = /^<0x([0-9A-F]{2})>$/.exec(token)?.[1];
  if (byte !== undefined) return Uint8Array.of(Number.parseInt(byte, 16));
  return inUtf8.encode(token.replaceAll("▁", " "));
}

/** An added token: text of its own, or `special`, which is no text. */
export interface AddedToken {
  content: string;
  special: boolean;
}

/**
 * The bytes of every token by id, [largest id + 1]; empty for special tokens and for ids that name none.
 * @param tokenizer tokenizer.json
 */
export function tokenBytes(
  tokenizer: Json,
  vocabulary: Iterable<readonly [string, number]>,
  added: ReadonlyMap<number, AddedToken>,
): Uint8Array[] {
  const isByteLevel = JSON.stringify(tokenizer.decoder ?? "").includes('"ByteLevel"');
  const bytesOf = isByteLevel ? byteLevelBytes : sentencePieceBytes;
  const out: Uint8Array[] = [];
  for (const [token, id] of vocabulary) out[id] = bytesOf(token);
  for (const [id, { content, special }] of added) {
    out[id] = special ? new Uint8Array() : inUtf8.encode(content);
  }
  return Array.from(out, (found) => found ?? new Uint8Array());
}

/**
 * The text of every token by id, [largest id + 1]; empty for added tokens and for ids that name none. Bytes
 * that are no whole characters become U+FFFD.
 */
export const tokenTexts = (
  found: readonly Uint8Array[],
  added: ReadonlyMap<number, AddedToken>,
): string[] => found.map((each, id) => (added.has(id) ? "" : utf8.decode(each)));

/** As the engine reads it: for each token the number of its bytes, little-endian in two bytes, and they. */
export function packedTokens(tokens: readonly Uint8Array[]): Uint8Array {
  return Buffer.concat(
    tokens.flatMap((token) => [Uint8Array.of(token.length & 0xff, token.length >> 8), token]),
  );
}
