// What routing is told of a request.
import { beginningOf, type Coming } from "../routing/router.ts";
import type { AnswerPrompt, AnswerRequest } from "./answer-request.ts";

/** Enough to tell conversations apart: their first messages up to the user's first, or the first words of a text. */
const beginningLength = 4_000;
/** About; prompts are tokenized by workers. */
const bytesPerToken = 4;

export function comingOf(
  tenantId: string,
  { input, bytes }: AnswerPrompt,
  branchBytes: AnswerRequest["branchBytes"] = [],
): Coming {
  const all = branchBytes.reduce((sum, each) => sum + each, bytes);
  const coming = (first: string, earlierBytes = 0): Coming => ({
    promptTokens: all / bytesPerToken,
    requests: Math.max(1, branchBytes.length),
    beginning: beginningOf(tenantId, first.slice(0, beginningLength)),
    earlierTokens: earlierBytes / bytesPerToken,
  });
  if (input.case === "tokens") {
    const ids = input.value.ids ?? [];
    const first = ids.slice(0, beginningLength / 4).join(" ");
    return { ...coming(first), promptTokens: ids.length };
  }
  if (input.case !== "chat") return coming(String(input.value ?? ""));
  const messages = input.value.messages ?? [];
  const asked = messages.findIndex(({ role }) => role === "user");
  const first = messages.slice(0, asked + 1).map(({ content }) => content ?? "");
  const answered = messages.findLastIndex(({ role }) => role === "assistant");
  const earlier = messages
    .slice(0, answered + 1)
    .reduce((sum, { content = "" }) => sum + content.length, 0);
  return coming(first.join("\n"), Math.min(earlier, bytes));
}
