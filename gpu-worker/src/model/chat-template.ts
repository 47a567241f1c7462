// A model's chat template, with what Hugging Face gives it to call.
import { Template } from "@huggingface/jinja";
import strftime from "strftime";
import type { ChatTemplate } from "./model-files.ts";

/** Takes the place of the library's, which knows few formats, and months in the machine's language. */
const dates = new Template("{% set strftime_now = date_in_english %}").parsed.body;

/** The values that a template is rendered with, beside its messages. */
export const builtIns = { date_in_english: (format: string) => strftime(format) };

/** @throws Error naming the file */
export function readTemplate(text: string, { origin }: Pick<ChatTemplate, "origin">): Template {
  try {
    const template = new Template(text);
    template.parsed.body.unshift(...dates);
    return template;
  } catch (error) {
    throw new Error(
      `${origin}: the chat template can't be read: ${error instanceof Error ? error.message : error}`,
    );
  }
}
