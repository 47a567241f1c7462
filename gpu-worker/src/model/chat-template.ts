// A model's chat template, with what Hugging Face gives it to call.
import { Template } from "@huggingface/jinja";
import type { ChatTemplate } from "./model-files.ts";
import { strftime } from "./strftime.ts";

/** Takes the place of the library's, which knows few formats, and months in the machine's language. */
const dates = new Template("{% set strftime_now = date_in_english %}").parsed.body;

/** The values that a template is rendered with, beside its messages. */
export const builtIns = { date_in_english: (format: string) => strftime(format) };

/** `fault` says what is wrong with one that can't be read, and names its file. */
export type ReadTemplate = { read: Template; fault?: undefined } | { fault: string };

/** A broken template takes chats away from a model, and nothing else. */
export function readTemplate(text: string, { origin }: Pick<ChatTemplate, "origin">): ReadTemplate {
  try {
    const read = new Template(text);
    read.parsed.body.unshift(...dates);
    return { read };
  } catch (error) {
    const why = error instanceof Error ? error.message : error;
    return { fault: `${origin}: the chat template can't be read: ${why}` };
  }
}
