// How Miniflare starts workerd: by workerd.sh, which ties it to this process and to its data folder.
import { createRequire } from "node:module";
import { join } from "node:path";
import { root } from "./bundle.ts";

/** The path of the executable that belongs to Miniflare. */
function executable(): string {
  const miniflare = createRequire(import.meta.url).resolve("miniflare");
  return (createRequire(miniflare)("workerd") as { default: string }).default;
}

/** What the environment of a workerd with its data in `folder` has. Later Miniflares of this process start theirs so. */
export function workerdEnvironment(folder: string): Record<string, string> {
  // Miniflare reads the command from the environment of its own process.
  process.env.ANABRANCH_WORKERD ??= process.env.MINIFLARE_WORKERD_PATH ?? executable();
  process.env.MINIFLARE_WORKERD_PATH = join(root, "gateway/local/workerd.sh");
  return { ANABRANCH_WORKERD_LOCK: join(folder, "workerd.lock") };
}
