// What a request asks of its answer's form, for the engine.
import {
  type Constraint,
  type GenerateRequest,
  ToolChoice,
} from "@anabranch/shared/proto/anabranch/v1/worker_pb.js";
import { Code, ConnectError } from "@connectrpc/connect";
import { type Constraint as Form, grammarOf } from "./grammar/grammars.ts";
import { GrammarError } from "./grammar/network.ts";
import type { AskedTools, Tool } from "./grammar/tool-calls.ts";
import type { TextModel } from "./model/text-model.ts";
import { toolsOf } from "./prompt.ts";

/** What clients call each kind. */
const fields = {
  jsonSchema: "response_format",
  jsonObject: "response_format",
  regex: "guided_regex",
  choice: "guided_choice",
} as const;

/** The engine's field for a constraint. Throws a refusal that names the client's field, after `where`. */
export function grammarField(constraint: Constraint | undefined, where = ""): GrammarField {
  const kind = constraint?.kind;
  return kind?.case ? fieldOf(kind, `${where}${fields[kind.case]}: `) : {};
}

/** The same for an answer that may call tools. */
export const toolGrammarField = (asked: AskedTools): GrammarField =>
  fieldOf({ case: "tools", value: asked }, "tools");

/** Words of all grammars that one request sends to the engine: a few megabytes. */
const MAX_WORDS = 2_000_000;

/** Throws if the forms of declared branches are too large together. */
export function refuseHugeGrammars(sizes: readonly number[]): void {
  if (sizes.reduce((sum, size) => sum + size, 0) <= MAX_WORDS) return;
  throw new ConnectError(
    "anabranch.branches[0].response_format: the forms of all branches are too large together",
    Code.InvalidArgument,
  );
}

interface GrammarField {
  grammar?: number[];
}

function fieldOf(form: Form, where: string): GrammarField {
  try {
    return { grammar: [...grammarOf(form)] };
  } catch (error) {
    if (!(error instanceof GrammarError)) throw error;
    throw new ConnectError(`${where}${error.message}`, Code.InvalidArgument);
  }
}

/** The tools that the answer may call, if there are any and the model can. */
export function askedTools(model: TextModel, request: GenerateRequest): AskedTools | undefined {
  const { input } = request;
  const format = model.toolFormat;
  const offered = toolsOf(request).map((tool) => tool.function as Tool);
  if (input.case !== "chat" || !format || offered.length === 0) return undefined;
  const { toolChoice, toolName, oneToolCall } = input.value;
  return {
    format,
    tools: toolName === "" ? offered : offered.filter(({ name }) => name === toolName),
    required: toolChoice === ToolChoice.REQUIRED,
    parallel: !oneToolCall,
  };
}
