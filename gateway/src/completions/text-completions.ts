// POST /v1/completions
import { badField } from "../api-error.ts";
import { readBody } from "../http/body.ts";
import { jsonBody, tenantRoute } from "../http/route.ts";
import type { AnswerPrompt, AnswerRequest } from "./answer-request.ts";
import { isFormField } from "./constraint.ts";
import { deliver, type RendererOf } from "./deliver.ts";
import { refuseOthers } from "./foreign-fields.ts";
import { type ShownToken, textLogprobs } from "./logprobs.ts";
import { settingsOf } from "./parameters.ts";
import { finishWord, usageBlock } from "./renderer.ts";
import { textCompletion } from "./responses.ts";
import { maxAnswers, type TextBody, textBody } from "./text-body.ts";

/** Of all prompts, each token of one a byte. */
const maxTokensOfAll = 4_000_000;

const unsupported = ["suffix", "prompt_logprobs", "functions"];

const encoder = new TextEncoder();

/** Plus one for a token that starts every sequence. */
const promptOf = (given: string | number[], field: string): AnswerPrompt =>
  typeof given === "string"
    ? {
        ...{ field, input: { case: "text", value: given } },
        bytes: 1 + encoder.encode(given).byteLength,
      }
    : { field, input: { case: "tokens", value: { ids: given } }, bytes: 1 + given.length };

type Prompts = AnswerRequest["prompts"];

function promptsOf(prompt: TextBody["prompt"]): Prompts {
  if (typeof prompt === "string") return [promptOf(prompt, "prompt")];
  // Ids, or prompts of which each is a text or ids: the schema has no others.
  if (typeof prompt[0] === "number") return [promptOf(prompt as number[], "prompt")];
  const [first, ...others] = (prompt as (string | number[])[]).map((each, index) =>
    promptOf(each, `prompt[${index}]`),
  );
  return [first ?? promptOf("", "prompt"), ...others];
}

/** Refuses what can't be had together. */
function refuseUnfit(fields: TextBody, prompts: Prompts): void {
  const { n, best_of: best, echo, max_tokens: maxTokens, anabranch } = fields;
  const choices = n ?? 1;
  if (prompts.length * choices > maxAnswers) {
    throw badField(
      "prompt",
      `A request has at most ${maxAnswers} answers: ${prompts.length} prompts with ${choices} choices each are more.`,
    );
  }
  const tokens = prompts.reduce((sum, { bytes }) => sum + bytes, 0);
  if (tokens > maxTokensOfAll) {
    throw badField(
      "prompt",
      `The prompts have ${tokens} bytes; at most ${maxTokensOfAll} go together.`,
    );
  }
  if (best && best !== choices) {
    throw badField(
      "best_of",
      "'best_of' is not supported: ask for as many choices with 'n', and choose one of them.",
      "unsupported_parameter",
    );
  }
  if (maxTokens === 0 && !echo) {
    throw badField("max_tokens", "'max_tokens' is 0: without 'echo' there is nothing to answer.");
  }
  if (echo && anabranch?.stream === "lanes") {
    throw badField("echo", "'echo' can't be used with the stream 'lanes': a prompt has no lanes.");
  }
}

function answerRequest(fields: TextBody, id: string): AnswerRequest {
  const prompts = promptsOf(fields.prompt);
  refuseUnfit(fields, prompts);
  const topLogprobs = fields.logprobs ?? 0;
  const logprobs = fields.logprobs !== null && fields.logprobs !== undefined;
  const settings = settingsOf(fields, fields.max_tokens ?? null, { logprobs, topLogprobs });
  return {
    id,
    endpoint: "completions",
    model: fields.model,
    prompts,
    nameOf: (field) => (isFormField(field) ? settings.formField : field),
    branchBytes: [],
    question: typeof fields.prompt === "string" ? fields.prompt : null,
    turn: 1,
    // OpenAI's default of max_tokens is 16; ours is the model's, as in chats.
    settings: { ...settings, echo: fields.echo ?? false },
  };
}

const textRenderer: RendererOf = (
  { id, model, createdAt: created },
  withLogprobs,
  includeUsage,
) => {
  const head = { id, object: "text_completion", created, model };
  const noUsage = includeUsage ? { usage: null } : {};
  return {
    choice(index, facts) {
      let offset = 0;
      const shown = (logprobs: readonly ShownToken[]) => {
        if (!withLogprobs) return null;
        const block = textLogprobs(logprobs, offset);
        offset += block.tokens.join("").length;
        return block;
      };
      const chunk = (
        text: string,
        logprobs: object | null,
        finish_reason: string | null,
        mark: object | undefined,
      ) => ({
        ...head,
        choices: [{ index, text, logprobs, finish_reason }],
        ...noUsage,
        ...(mark ? { anabranch: mark } : {}),
      });
      const some = (logprobs: readonly ShownToken[]) =>
        logprobs.length > 0 ? shown(logprobs) : null;
      let isEchoed = false;
      const echo = () => {
        if (isEchoed || !facts.echo) return [];
        isEchoed = true;
        return [chunk(facts.echo.text, some(facts.echo.tokens), null, undefined)];
      };
      // What measures a prompt counts on an entry for every token that was decoded.
      const end = () => (facts.echo && facts.end ? [facts.end] : []);
      return {
        opening: () => [],
        fragment: ({ text, logprobs, mark }) => [
          ...echo(),
          chunk(text, some(logprobs), null, mark),
        ],
        closing: (reason, mark) => [...echo(), chunk("", some(end()), finishWord(reason), mark)],
        whole: ({ text, logprobs }, reason) => ({
          index,
          text: (facts.echo?.text ?? "") + text,
          logprobs: shown([...(facts.echo?.tokens ?? []), ...logprobs, ...end()]),
          finish_reason: finishWord(reason),
        }),
      };
    },
    named: false,
    ending: (counts) => (includeUsage ? [{ ...head, choices: [], usage: usageBlock(counts) }] : []),
    failure: (error) => error.body,
    whole: (choices, counts) => ({ ...head, choices, usage: usageBlock(counts) }),
  };
};

export const textCompletions = tenantRoute({
  method: "post",
  path: "/v1/completions",
  summary: "Continues a text",
  request: jsonBody(textBody, {
    model: "smollm2",
    prompt: "The capital of Norway is",
    max_tokens: 8,
  }),
  response: {
    description: "A text_completion, or with `stream` its chunks as server-sent events",
    stream: "`data: ` and a chunk as JSON, event by event; at the end `data: [DONE]`",
    schema: textCompletion,
  },
  async handle(context) {
    const fields = await readBody(context.request, textBody);
    refuseOthers(fields, textBody, unsupported);
    const id = `cmpl-${context.requestId}`;
    return deliver(answerRequest(fields, id), textRenderer, context);
  },
});
