// Requests for answers come in four shapes. A field of another shape would be ignored as unknown, and change no answer
// where its sender means it to: it is refused by name.
import type { z } from "@hono/zod-openapi";
import { messageBody } from "../messages/message-body.ts";
import { responseBody } from "../responses/response-body.ts";
import { chatBody } from "./chat-request.ts";
import { refuseUnsupported, unsupportedParameters } from "./parameters.ts";
import { textBody } from "./text-body.ts";

export const bodies = {
  chat: chatBody,
  completions: textBody,
  responses: responseBody,
  messages: messageBody,
};

/** They say nothing about the answer. */
const harmless = ["user", "metadata", "store", "stream_options", "include"];

/** Refuses what is set of `unsupported`, and of the other shapes' fields that `own` does not have. */
export function refuseOthers(
  fields: object,
  { shape: own }: z.ZodObject,
  unsupported: readonly string[],
): void {
  refuseUnsupported(fields, [...unsupportedParameters, ...unsupported]);
  for (const name of Object.keys(fields)) {
    if (Object.hasOwn(own, name) || harmless.includes(name)) continue;
    const kinds = Object.entries(bodies).filter(([, { shape }]) => Object.hasOwn(shape, name));
    const where = kinds.map(([kind]) => kind).join(", ");
    if (where !== "") refuseUnsupported(fields, [name], `here: it is a field of ${where}`);
  }
}
