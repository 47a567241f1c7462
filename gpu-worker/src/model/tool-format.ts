// Which way of calling tools a model's chat template teaches it.
import type { ToolFormatName } from "@anabranch/shared/tool-formats.ts";

/** Of a template's text; undefined if it has no tools, or has them in a way that we don't read. */
export function templateToolFormat(template: string): ToolFormatName | undefined {
  if (!/\btools\b/.test(template)) return undefined;
  if (template.includes("[TOOL_CALLS]")) return "mistral";
  if (template.includes("<tool_call>") && /\\?"arguments\\?"/.test(template)) return "hermes";
  if (/\{\\?"name\\?": /.test(template) && /\\?"parameters\\?": /.test(template)) return "llama3";
  return undefined;
}
