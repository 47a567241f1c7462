// What requests of Anthropic's Messages API may have and we can't honour, and what they have of other APIs.
import { foreignFields } from "../completions/foreign-fields.ts";
import { unsupportedParameters } from "../completions/parameters.ts";
import { messageBody } from "./message-body.ts";

export const unsupported = [
  ...unsupportedParameters,
  ...["container", "context_management", "mcp_servers", "output_format"],
  ...foreignFields(messageBody),
];
