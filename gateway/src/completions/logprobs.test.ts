import { expect, it } from "vitest";
import { type ShownToken, textLogprobs } from "./logprobs.ts";

/** A token of these bytes. */
const token = (...bytes: number[]) =>
  ({ text: Uint8Array.from(bytes), logprob: -1, top: [] }) as unknown as ShownToken;

it("offsets count the characters of the text, also if one has several tokens", () => {
  const smile = [...new TextEncoder().encode("😀")];
  const tokens = [token(72, 105), ...smile.map((byte) => token(byte)), token(33)];
  expect(textLogprobs(tokens, 3).text_offset).toEqual([3, 5, 5, 5, 5, 7]);
});
