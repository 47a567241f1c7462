// What each token of a vocabulary says by itself, for outlines.
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

/** Bytes that are no whole characters become U+FFFD. */
function byteLevelText(token: string): string {
  const found = [...token].map((character) => bytes.get(character));
  return found.includes(undefined) ? token : utf8.decode(Uint8Array.from(found as number[]));
}

function sentencePieceText(token: string): string {
  const byte = /^<0x([0-9A-F]{2})>$/.exec(token)?.[1];
  if (byte !== undefined) return utf8.decode(Uint8Array.of(Number.parseInt(byte, 16)));
  return token.replaceAll("▁", " ");
}

/**
 * The text of every token by id, [largest id + 1]; empty for added tokens and for ids that name none.
 * @param tokenizer tokenizer.json
 */
export function tokenTexts(
  tokenizer: Json,
  vocabulary: Iterable<readonly [string, number]>,
  added: ReadonlySet<number>,
): string[] {
  const isByteLevel = JSON.stringify(tokenizer.decoder ?? "").includes('"ByteLevel"');
  const textOf = isByteLevel ? byteLevelText : sentencePieceText;
  const out: string[] = [];
  for (const [token, id] of vocabulary) out[id] = added.has(id) ? "" : textOf(token);
  return Array.from(out, (text) => text ?? "");
}
