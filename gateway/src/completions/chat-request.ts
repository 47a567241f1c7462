// A chat, as OpenAI's API has it: its body, and the request that it becomes. Other surfaces turn theirs into one.
import { type AnswerPart, textOfParts, textUnderTitles } from "@anabranch/shared/parts.ts";
import { z } from "@hono/zod-openapi";
import { badField, type NameOf, withNames } from "../api-error.ts";
import { list } from "../http/list.ts";
import { answerPart } from "./answer-part.ts";
import type { AnswerPrompt, AnswerRequest } from "./answer-request.ts";
import { isFormField } from "./constraint.ts";
import { branchesOf, declaredBranches, sharedConstraint } from "./declared-branches.ts";
import { content, maxParts, textOf } from "./message-content.ts";
import { options, parameters, settingsOf } from "./parameters.ts";
import { toolCalls, toolFields, toolInput } from "./tools.ts";

export const maxMessages = 10_000;

/** Of an earlier answer. */
export const structure = z
  .object({ parts: list(answerPart, maxParts).nullish() })
  .nullish()
  .openapi({ description: "As it came with the answer; its texts in order are its content" });

const message = z.discriminatedUnion("role", [
  z.object({ role: z.enum(["system", "developer", "user"]), content, name: z.string().nullish() }),
  z.object({
    role: z.literal("assistant"),
    content: content.nullish(),
    name: z.string().nullish(),
    tool_calls: toolCalls.nullish(),
    anabranch: structure,
  }),
  z.object({ role: z.literal("tool"), content, tool_call_id: z.string().min(1) }),
]);

/** Our own fields of a chat. */
export const chatOptions = options
  .extend({ branches: declaredBranches })
  .nullish()
  .openapi("AnabranchChatOptions");

export const chatBody = z
  .looseObject({
    ...parameters,
    messages: list(message, maxMessages).min(1, "at least one message is needed"),
    max_completion_tokens: parameters.max_tokens,
    logprobs: z.boolean().nullish(),
    top_logprobs: z.int().min(0).max(20).nullish(),
    modalities: list(z.enum(["text"], "only 'text' is supported"), 2).nullish(),
    chat_template_kwargs: z
      .record(z.string(), z.unknown())
      .nullish()
      .openapi({ description: "More of what the model's chat template is given" }),
    ...toolFields,
    anabranch: chatOptions,
  })
  .openapi("ChatCompletionRequest");

export type ChatBody = z.output<typeof chatBody>;
export type ChatMessage = ChatBody["messages"][number];

/** The parts of an earlier answer that is sent back with its structure; else none. */
function partsOf(message: ChatMessage, index: number): AnswerPart[] {
  const parts = message.role === "assistant" ? message.anabranch?.parts : null;
  if (!parts) return [];
  const text = textOf(message.content);
  // No model wrote its titles: to the model it is plain text.
  if (textUnderTitles(parts) === text) return [];
  if (textOfParts(parts) !== text) {
    throw badField(
      `messages[${index}].anabranch.parts`,
      "The texts and bodies of 'parts' in order must be the message's 'content'. Send both as they came, or leave 'anabranch' out.",
    );
  }
  return parts;
}

const encoder = new TextEncoder();
const bytesIn = (text: string) => encoder.encode(text).byteLength;
/** What a chat template may add: in total, and around each message. */
const templateTokens = 64;
const messageTokens = 16;
const toolTokens = 512;
/** What markers may add to a stage, and to each of its branches beside its title (written twice). */
const markerTokens = 16;

/** What the structure of an answer adds to its text. */
function structureBytes(parts: readonly AnswerPart[]): number {
  const branches = parts.flatMap((part) => ("parallel" in part ? [null, ...part.parallel] : []));
  return branches.reduce(
    (sum, branch) => sum + markerTokens + (branch ? 2 * bytesIn(branch.title) : 0),
    0,
  );
}

/** The calls of an earlier answer. */
const callsOf = (message: ChatMessage) =>
  (message.role === "assistant" ? (message.tool_calls ?? []) : []).map(
    ({ id, function: call }) => ({
      ...{ id, name: call.name, arguments: call.arguments },
    }),
  );

/** What tools, or calls of them, add to a prompt: their JSON, spaced out, and what explains them. */
const toolBytes = (given: readonly object[]): number =>
  given.length === 0 ? 0 : 2 * bytesIn(JSON.stringify(given)) + toolTokens;

const longestArguments = 10_000;

/** As JSON. Throws if there are too many. */
function templateArgumentsOf({ chat_template_kwargs: given }: ChatBody): string {
  const text = given ? JSON.stringify(given) : "";
  if (text.length <= longestArguments) return text;
  throw badField(
    "chat_template_kwargs",
    `'chat_template_kwargs' has more than ${longestArguments} characters.`,
  );
}

/** Who asks, and what its API calls the fields of a chat, if it is another one. */
export type ChatOrigin = Pick<AnswerRequest, "id" | "endpoint"> &
  Partial<Pick<AnswerRequest, "nameOf">>;

/** The request of a chat. Throws ApiError, with the client's names. */
export function chatRequest(
  fields: ChatBody,
  { nameOf = (field) => field, ...origin }: ChatOrigin,
): AnswerRequest {
  const sent: NameOf = (field) =>
    nameOf(
      field === "max_tokens" && fields.max_completion_tokens ? "max_completion_tokens" : field,
    );
  try {
    const request = requestOf(fields);
    const { formField } = request.settings;
    const branches = fields.anabranch?.branches ?? [];
    return {
      ...{ ...origin, ...request },
      prompts: [{ ...request.prompt, field: nameOf("messages") }],
      nameOf: (field) => sent(sentForm(field, formField, branches)),
    };
  } catch (error) {
    throw withNames(error, sent);
  }
}

/** A path of a form, which workers call by its kind, as the request or its branch sent it. */
function sentForm(
  path: string,
  formField: string,
  branches: readonly { response_format?: unknown }[],
): string {
  const [, branch, index, field = "", rest] =
    /^(anabranch\.branches\[(\d+)\]\.)?(\w+)(.*)$/.exec(path) ?? [];
  if (!isFormField(field)) return path;
  const own = branch !== undefined && branches[Number(index)]?.response_format;
  return `${own ? `${branch}response_format` : formField}${rest}`;
}

type Requested = Omit<AnswerRequest, "id" | "endpoint" | "prompts" | "nameOf"> & {
  prompt: Omit<AnswerPrompt, "field">;
};

/** Throws ApiError, with a chat's names. */
function requestOf(fields: ChatBody): Requested {
  const logprobs = fields.logprobs ?? false;
  const topLogprobs = fields.top_logprobs ?? 0;
  if (topLogprobs > 0 && !logprobs) {
    throw badField("top_logprobs", "'top_logprobs' needs 'logprobs' to be true.");
  }
  const maxTokens = fields.max_completion_tokens ?? fields.max_tokens ?? null;
  const messages = fields.messages.map((each, index) => ({
    // "developer" is OpenAI's newer name of "system"; chat templates know the older one.
    role: each.role === "developer" ? "system" : each.role,
    content: textOf(each.content),
    name: ("name" in each ? each.name : null) ?? "",
    parts: partsOf(each, index),
    toolCalls: callsOf(each),
    toolCallId: each.role === "tool" ? each.tool_call_id : "",
  }));
  const promptBytes = messages.reduce(
    (sum, { role, content, name, parts, toolCalls }) =>
      sum +
      bytesIn(role + content + name) +
      structureBytes(parts) +
      toolBytes(toolCalls) +
      messageTokens,
    templateTokens,
  );
  const settings = settingsOf(fields, maxTokens, { logprobs, topLogprobs });
  const branches = branchesOf(fields.anabranch?.branches, settings);
  const templateArguments = templateArgumentsOf(fields);
  const tools = toolInput(fields, settings, branches.length > 0);
  return {
    model: fields.model,
    prompt: {
      input: { case: "chat", value: { messages, branches, ...tools, templateArguments } },
      // A template may say what it is given, also more than once.
      bytes: promptBytes + 4 * bytesIn(templateArguments) + toolBytes(tools.tools ?? []),
    },
    // Each has its own turn and its own beginning of an answer.
    branchBytes: branches.map(({ content }) => bytesIn(content) + 2 * messageTokens),
    question: messages.findLast(({ role }) => role === "user")?.content ?? null,
    turn: Math.max(1, messages.filter(({ role }) => role === "user").length),
    settings: { ...settings, constraint: sharedConstraint(fields.anabranch?.branches, settings) },
  };
}
