// The content of a message: a text, or a list of text parts.
import { z } from "@hono/zod-openapi";
import { list } from "../http/list.ts";

const textPart = z.object({ type: z.literal("text", "only text parts"), text: z.string() });

/** In one message. */
export const maxParts = 10_000;

export const content = z.union([z.string(), list(textPart, maxParts).min(1)]);

export function textOf(given: z.output<typeof content> | null | undefined): string {
  if (typeof given === "string") return given;
  return (given ?? []).map((part) => part.text).join("");
}
