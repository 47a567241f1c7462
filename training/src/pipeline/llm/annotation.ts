// Asks a language model for candidates, and for votes on whether branches are independent.
import { type Proposal, reasonOf } from "../cut.ts";
import { type Endpoint, Refusal } from "./endpoint.ts";
import { askForSpans, askForVote, type Message } from "./prompts.ts";
import { isYes, type NamedSpans, readSpans } from "./reply.ts";
import { unitsOf } from "./units.ts";

/** Asks `samples` times for the independent spans of an answer. */
export async function nameSpans(
  endpoint: Endpoint,
  prompt: string,
  text: string,
  samples: number,
): Promise<NamedSpans> {
  const units = unitsOf(text);
  const messages = askForSpans(prompt, text, units);
  const replies = await Promise.all(
    Array.from({ length: samples }, (_, sample) => replyTo(endpoint, messages, sample)),
  );
  const named: NamedSpans = { candidates: [], rejections: [] };
  const seen = new Set<string>();
  for (const reply of replies) {
    if (reply === undefined) {
      named.rejections.push("the endpoint refuses the answer");
      continue;
    }
    const { candidates, rejections } = readSpans(reply, text, units);
    named.rejections.push(...rejections);
    for (const candidate of candidates) {
      const key = candidate.items.map(({ start, end }) => `${start}-${end}`).join();
      if (!seen.has(key)) named.candidates.push(candidate);
      seen.add(key);
    }
  }
  return named;
}

/** Asks `votes` times about each proposal, and marks it as dependent unless all replies say yes. */
export async function vote(
  endpoint: Endpoint,
  prompt: string,
  text: string,
  proposals: readonly Proposal[],
  votes: number,
): Promise<Proposal[]> {
  return await Promise.all(
    proposals.map(async (proposal) => {
      if (reasonOf(proposal) !== undefined) return proposal;
      const messages = askForVote(prompt, text.slice(0, proposal.start), proposal.branches);
      for (let sample = 0; sample < votes; sample++) {
        const reply = await replyTo(endpoint, messages, sample);
        if (reply === undefined) return { ...proposal, form: "the endpoint refuses the vote" };
        if (!isYes(reply)) return { ...proposal, dependence: "voted dependent" };
      }
      return proposal;
    }),
  );
}

/** Undefined if the endpoint refuses only this request. */
async function replyTo(
  endpoint: Endpoint,
  messages: Message[],
  sample: number,
): Promise<string | undefined> {
  try {
    return await endpoint.reply(messages, sample);
  } catch (error) {
    if (error instanceof Refusal) return undefined;
    throw error;
  }
}
