// Requests for answers come in four shapes. A field of another shape would be ignored as unknown, and change no answer
// where its sender means it to: it is refused by name.
import type { z } from "@hono/zod-openapi";
import { messageBody } from "../messages/message-body.ts";
import { responseBody } from "../responses/response-body.ts";
import { chatBody } from "./chat-request.ts";
import { textBody } from "./text-body.ts";

export const bodies = {
  chat: chatBody,
  completions: textBody,
  responses: responseBody,
  messages: messageBody,
};

/** They say nothing about the answer. */
const harmless = ["user", "metadata", "store", "stream_options", "include"];

/** The fields of the other shapes that `own` does not have. */
export const foreignFields = ({ shape: own }: z.ZodObject): string[] => [
  ...new Set(
    Object.values(bodies)
      .flatMap(({ shape }) => Object.keys(shape))
      .filter((name) => !Object.hasOwn(own, name) && !harmless.includes(name)),
  ),
];
