// How a user names a LoRA adapter: NAME=PATH
import { UsageError } from "@anabranch/shared/cli/options.ts";

/** An adapter as a user names it. */
export interface AdapterSource {
  name: string;
  /** A folder, or hf:OWNER/NAME. */
  source: string;
}

const NAME = /^[\w.-]{1,64}$/;

/** @throws UsageError if the name can't follow a model's name and a colon */
export function checkAdapterName(name: string): void {
  if (NAME.test(name)) return;
  throw new UsageError(
    `"${name}" is no name for an adapter: it has up to 64 letters, digits, and any of _ . -`,
  );
}

/** @throws UsageError unless the text is NAME=PATH */
export function parseAdapter(text: string): AdapterSource {
  const at = text.indexOf("=");
  if (at < 1 || at === text.length - 1) {
    throw new UsageError(`--adapter is NAME=PATH, not "${text}"`);
  }
  const name = text.slice(0, at);
  checkAdapterName(name);
  return { name, source: text.slice(at + 1) };
}
