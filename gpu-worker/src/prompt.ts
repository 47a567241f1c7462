// A request's prompt: its size checked, then rendered and tokenized.
import { setImmediate } from "node:timers/promises";
import type { StructureRun } from "@anabranch/native";
import { type AnswerPart, titlesOf } from "@anabranch/shared/parts.ts";
import { Mode } from "@anabranch/shared/proto/anabranch/v1/answer_pb.js";
import type {
  AnswerPart as AnswerPartMessage,
  DeclaredBranch,
  GenerateRequest,
  TokenizeRequest,
} from "@anabranch/shared/proto/anabranch/v1/worker_pb.js";
import { Code, ConnectError } from "@connectrpc/connect";
import type { Json } from "./model/model-files.ts";
import { type Message, PromptError, type TextModel } from "./model/text-model.ts";

/**
 * A prompt with more bytes than this per token of context can't fit. It is refused before it is
 * tokenized, which would delay everyone else's answers.
 */
const MAX_BYTES_PER_TOKEN = 64;

const answerPart = ({ serial, parallel }: AnswerPartMessage): AnswerPart =>
  parallel.length > 0
    ? { parallel: parallel.map(({ title, body }) => ({ title, body })) }
    : { serial };

/** A request with a prompt. */
export type AskedPrompt = GenerateRequest | TokenizeRequest;

/** What an error about one declared branch begins with. */
export const branchField = (index: number): string => `anabranch.branches[${index}]`;

/** The declared branches of a request; empty if it has none. */
export const declaredBranches = ({ input }: AskedPrompt): readonly DeclaredBranch[] =>
  input.case === "chat" ? input.value.branches : [];

/** Bytes of all text that declared branches share, or that there is. */
function sharedBytes({ input }: AskedPrompt): number {
  const texts =
    input.case === "chat"
      ? [
          input.value.templateArguments,
          ...input.value.tools.map(({ definition }) => definition),
          ...input.value.messages.flatMap(({ content, name, parts, toolCalls }) => [
            ...[content, name],
            ...toolCalls.map((call) => call.arguments),
            ...titlesOf(parts.map(answerPart)),
          ]),
        ]
      : input.case === "text"
        ? [input.value]
        : [];
  return texts.reduce((sum, text) => sum + Buffer.byteLength(text), 0);
}

/** Bytes of all text that is tokenized: what branches share, once for each. */
export function textBytes(request: AskedPrompt): number {
  const branches = declaredBranches(request);
  const own = branches.reduce((sum, { content }) => sum + Buffer.byteLength(content), 0);
  return sharedBytes(request) * Math.max(1, branches.length) + own;
}

/** Throws if a prompt can't fit the context, before it is tokenized. */
export function refuseHugeText(request: AskedPrompt, contextTokens: number): void {
  const shared = sharedBytes(request);
  const refuse = (bytes: number, where: string) => {
    if (bytes <= contextTokens * MAX_BYTES_PER_TOKEN) return;
    throw new ConnectError(
      `${where}the prompt has ${bytes} bytes; the model's context is ${contextTokens} tokens`,
      Code.OutOfRange,
    );
  };
  refuse(shared, "");
  for (const [index, { content }] of declaredBranches(request).entries()) {
    refuse(shared + Buffer.byteLength(content), `${branchField(index)}: `);
  }
}

/** Whether what branches, or the form of the answer, is given: the model has no plan to make. */
export const hasGivenForm = (request: GenerateRequest): boolean =>
  declaredBranches(request).length > 0 ||
  request.constraint !== undefined ||
  toolsOf(request).length > 0;

/**
 * Whether the model's own markers have no place in the answer: nobody asks for branches, its form is given, or
 * `max_tokens` has no room for a plan.
 */
export function isSerial({ dialect }: TextModel, request: AskedPrompt): boolean {
  if (request.mode === Mode.SERIAL || declaredBranches(request).length > 0) return true;
  // Of a prompt that is only tokenized no more is known.
  if (!("maxTokens" in request)) return false;
  const { maxTokens } = request;
  if (hasGivenForm(request)) return true;
  return dialect !== undefined && maxTokens > 0 && maxTokens < dialect.caps.minRoom;
}

/** Whether the answer is written by the model without its adapter, which then does not know its markers. */
const isOfBase = (model: TextModel, request: AskedPrompt): boolean =>
  model.dialect?.serialFromBase === true && isSerial(model, request);

function messagesOf(model: TextModel, request: AskedPrompt): Message[] {
  const { input } = request;
  if (input.case !== "chat") return [];
  const plain = isOfBase(model, request);
  return input.value.messages.map(({ role, content, name, parts, toolCalls, toolCallId }) => ({
    ...{ role, content, parts: plain ? [] : parts.map(answerPart), toolCalls },
    ...(name === "" ? {} : { name }),
    ...(toolCallId === "" ? {} : { toolCallId }),
  }));
}

/**
 * What the request gives the template, beside what it has from us.
 * @param bare without the beginning of an answer
 */
function templateArguments({ input }: AskedPrompt, bare: boolean): Json {
  const text = input.case === "chat" ? input.value.templateArguments : "";
  const { add_generation_prompt: _, ...given } = JSON.parse(text || "{}");
  return { ...given, ...(bare && { add_generation_prompt: false }) };
}

/** The tools that a request offers, as templates see them. */
export const toolsOf = ({ input }: AskedPrompt): Json[] =>
  input.case === "chat" ? input.value.tools.map(({ definition }) => JSON.parse(definition)) : [];

function refuseUnlessRendered(error: unknown, where = ""): never {
  if (error instanceof RangeError) {
    const message = `${where}a word of the prompt is too long for the model's tokenizer`;
    throw new ConnectError(message, Code.InvalidArgument);
  }
  if (!(error instanceof PromptError)) throw error;
  throw new ConnectError(`${where}${error.message}`, Code.InvalidArgument);
}

/**
 * The prompt as token runs, rendered by the model's own template.
 * @param bare a text has no start tokens of the model, a chat no beginning of an answer
 */
function promptOf(model: TextModel, request: AskedPrompt, bare: boolean): StructureRun[] {
  try {
    switch (request.input.case) {
      case "chat":
        if (request.input.value.messages.length === 0) throw new PromptError("messages is empty");
        return model.conversation(
          messagesOf(model, request),
          toolsOf(request),
          templateArguments(request, bare),
        );
      case "text":
        return [{ serial: model.text(request.input.value, bare) }];
      case "tokens":
        return [{ serial: request.input.value.ids }];
      default:
        throw new PromptError("the request has no input");
    }
  } catch (error) {
    return refuseUnlessRendered(error);
  }
}

/**
 * The prompts of declared branches: each is that of a request with the branch as its last turn. Other
 * answers go on between two of them.
 */
async function branchPrompts(
  model: TextModel,
  request: AskedPrompt,
  bare: boolean,
): Promise<StructureRun[][]> {
  const shared = messagesOf(model, request);
  const given = templateArguments(request, bare);
  const prompts: StructureRun[][] = [];
  for (const [index, { content }] of declaredBranches(request).entries()) {
    try {
      prompts.push(model.conversation([...shared, { role: "user", content }], [], given));
    } catch (error) {
      refuseUnlessRendered(error, `${branchField(index)}: `);
    }
    await setImmediate();
  }
  return prompts;
}

/** The prompt of a request, or one for each of its declared branches. Throws ConnectError. */
export const promptsOf = async (
  model: TextModel,
  request: AskedPrompt,
  bare = false,
): Promise<StructureRun[][]> =>
  declaredBranches(request).length > 0
    ? await branchPrompts(model, request, bare)
    : [promptOf(model, request, bare)];
