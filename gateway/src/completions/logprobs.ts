// Log-probabilities in the format of OpenAI's two endpoints.
import type {
  Alternative,
  PromptToken,
  TokenLogprob,
} from "@anabranch/shared/proto/anabranch/v1/lane_events_pb.js";

const decoder = new TextDecoder();

/** Part of a character decodes to a replacement character; the `bytes` field is exact. */
const shown = ({ text }: Pick<Alternative, "text">) => decoder.decode(text);

const one = (each: Alternative | TokenLogprob) => ({
  token: shown(each),
  logprob: each.logprob,
  bytes: [...each.text],
});

export function chatLogprobs(logprobs: readonly TokenLogprob[]) {
  const content = logprobs.map((each) => ({ ...one(each), top_logprobs: each.top.map(one) }));
  return { content, refusal: null };
}

/** A token of an answer or its prompt, whose first token has no log-probability. */
export type ShownToken = TokenLogprob | PromptToken;

/** Of tokens that look alike the likeliest is kept. */
const alternatives = (top: readonly Alternative[]) =>
  Object.fromEntries(top.map((each) => [shown(each), each.logprob] as const).reverse());

export function textLogprobs(logprobs: readonly ShownToken[], offset: number) {
  // A character may have several tokens: they all begin where it does, or just behind it.
  const decoder = new TextDecoder("utf-8", { fatal: false, ignoreBOM: true });
  let at = offset;
  return {
    tokens: logprobs.map(shown),
    token_logprobs: logprobs.map(({ logprob }) => logprob ?? null),
    top_logprobs: logprobs.map(({ logprob, top }) =>
      logprob === undefined ? null : alternatives(top),
    ),
    text_offset: logprobs.map(({ text }) => {
      const start = at;
      at += decoder.decode(text, { stream: true }).length;
      return start;
    }),
  };
}
