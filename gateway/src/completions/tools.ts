// The tools that a chat offers, and the calls of earlier answers.
import {
  type ChatInputSchema,
  ToolChoice,
} from "@anabranch/shared/proto/anabranch/v1/worker_pb.js";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { z } from "@hono/zod-openapi";
import { badField } from "../api-error.ts";
import { list } from "../http/list.ts";
import type { Settings } from "./parameters.ts";

export const maxTools = 128;
export const toolName = z.string().regex(/^[\w-]{1,64}$/, "1 to 64 letters, digits, - and _");

const tool = z.object({
  type: z.literal("function", "only functions"),
  function: z.object({
    name: toolName,
    description: z.string().nullish(),
    parameters: z
      .record(z.string(), z.unknown())
      .nullish()
      .openapi({ description: "A JSON Schema of an object; every call is valid for it" }),
    strict: z.boolean().nullish(),
  }),
});

const named = z.object({ type: z.literal("function"), function: z.object({ name: z.string() }) });

/** Fields of a chat. */
export const toolFields = {
  tools: list(tool, maxTools).nullish(),
  tool_choice: z.union([z.enum(["none", "auto", "required"]), named]).nullish(),
  parallel_tool_calls: z.boolean().nullish(),
};

/** In a message of the assistant. */
export const toolCalls = list(
  z.object({
    id: z.string(),
    type: z.literal("function").nullish(),
    function: z.object({ name: z.string(), arguments: z.string() }),
  }),
  maxTools,
);

type Fields = z.output<z.ZodObject<typeof toolFields>>;
type ToolInput = Pick<
  MessageInitShape<typeof ChatInputSchema>,
  "tools" | "toolChoice" | "toolName" | "oneToolCall"
>;

/** What the worker hears of a request's tools. Throws what can't be asked. */
export function toolInput(fields: Fields, settings: Settings, declares: boolean): ToolInput {
  const { tools, tool_choice: choice } = fields;
  const offered = tools ?? [];
  const name = typeof choice === "object" && choice ? choice.function.name : "";
  if (offered.length === 0 && choice && choice !== "none" && choice !== "auto") {
    throw badField("tool_choice", "'tool_choice' needs 'tools'.");
  }
  if (name !== "" && !offered.some((each) => each.function.name === name)) {
    throw badField("tool_choice", `'tool_choice' names "${name}", which is not in 'tools'.`);
  }
  // What may not be called is not shown.
  if (offered.length === 0 || choice === "none") return {};
  const names = offered.map((each) => each.function.name);
  const twice = names.findIndex((each, index) => names.indexOf(each) !== index);
  if (twice >= 0) {
    throw badField(
      `tools[${twice}].function.name`,
      `'tools[${twice}].function.name': two tools have the same name.`,
    );
  }
  const refuse = (field: string, why: string) => {
    throw badField(field, `'${field}' can't be used with 'tools': ${why}.`);
  };
  if (settings.constraint) refuse(settings.formField, "the answer would have two forms");
  if (settings.mode === "parallel") refuse("anabranch.mode", "an answer with calls is serial");
  if (settings.minTokens > 0) refuse("min_tokens", "the answer ends with its calls");
  if (declares) refuse("anabranch.branches", "branches are answered, not acted on");
  return {
    tools: offered.map((each) => ({ definition: JSON.stringify(definitionOf(each)) })),
    toolChoice: name !== "" || choice === "required" ? ToolChoice.REQUIRED : ToolChoice.UNSPECIFIED,
    toolName: name,
    oneToolCall: fields.parallel_tool_calls === false || name !== "",
  };
}

/** As templates see it: `strict` is nothing to a model. */
function definitionOf({
  type,
  function: { name, description, parameters },
}: z.output<typeof tool>) {
  return {
    type,
    function: {
      name,
      ...(description && { description }),
      parameters: parameters ?? { type: "object", properties: {} },
    },
  };
}
