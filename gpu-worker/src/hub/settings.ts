// How to reach the hub, and where its files are kept: the environment variables of Hugging Face's own tools.
import { existsSync, readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { getHFHubCachePath } from "@huggingface/hub";

export interface HubSettings {
  /** Without a slash at its end. */
  endpoint: string;
  /** Undefined: anonymous. */
  token: string | undefined;
  offline: boolean;
  cacheFolder: string;
}

/** @throws Error naming the variable that can't be used */
export function hubSettings(): HubSettings {
  const { env } = process;
  const endpoint = (env.HF_ENDPOINT || "https://huggingface.co").replace(/\/+$/, "");
  if (!/^https?:$/.test(URL.parse(endpoint)?.protocol ?? "")) {
    throw new Error(`HF_ENDPOINT is "${endpoint}", which is not an http(s) address`);
  }
  return {
    endpoint,
    token: tokenOf(env),
    offline: /^(1|on|yes|true)$/i.test(env.HF_HUB_OFFLINE ?? ""),
    cacheFolder: expanded(getHFHubCachePath()),
  };
}

const expanded = (path: string): string => path.replace(/^~(?=\/|$)/, homedir());

/** HF_TOKEN, else what `hf auth login` stored. */
function tokenOf(env: NodeJS.ProcessEnv): string | undefined {
  const given = env.HF_TOKEN?.trim();
  if (given) return given;
  const home = env.HF_HOME || join(env.XDG_CACHE_HOME || join(homedir(), ".cache"), "huggingface");
  const file = expanded(env.HF_TOKEN_PATH || join(home, "token"));
  return existsSync(file) ? readFileSync(file, "utf8").trim() || undefined : undefined;
}
