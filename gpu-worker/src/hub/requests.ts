// Requests to the hub, and what its refusals mean to a user.
import type { HubSettings } from "./settings.ts";

/** A refusal of the hub that asking again does not change. The message says what to do. */
export class HubError extends Error {}

/** A failure that asking again may mend: no connection, or a server that is busy or broken. */
export class HubUnreachable extends Error {}

/** How long the hub may take to begin its answer. */
const HEAD_TIMEOUT_MS = 30_000;

/**
 * A fetch for one repository. Other answers than success are errors, and the token goes to the hub alone,
 * not to the storage that it redirects to.
 */
export function hubFetch(settings: HubSettings, repo: string): typeof fetch {
  return async (input, init) => {
    const url = input instanceof Request ? input.url : String(input);
    const headers = new Headers(init?.headers);
    headers.set("user-agent", "anabranch");
    if (settings.token && new URL(url).origin === new URL(settings.endpoint).origin) {
      headers.set("authorization", `Bearer ${settings.token}`);
    }
    const late = new AbortController();
    const timer = setTimeout(() => late.abort(), HEAD_TIMEOUT_MS);
    let response: Response;
    try {
      const signals = [late.signal, ...(init?.signal ? [init.signal] : [])];
      response = await fetch(url, { ...init, headers, signal: AbortSignal.any(signals) });
    } catch (error) {
      throw new HubUnreachable(
        `can't reach ${new URL(url).origin}: ${late.signal.aborted ? "no answer" : causeOf(error)}; ` +
          "check the connection, or set HF_ENDPOINT to a mirror (behind a proxy: NODE_USE_ENV_PROXY=1)",
      );
    } finally {
      clearTimeout(timer);
    }
    if (response.ok) return response;
    const text = await response.text().catch(() => "");
    throw refusal(response, text, settings, repo);
  };
}

export function causeOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { cause } = error;
  const code = cause instanceof Error && "code" in cause ? String(cause.code) : "";
  return code || (cause instanceof Error && cause.message) || error.message;
}

function refusal(
  { status, headers, url }: Response,
  text: string,
  { endpoint, token }: HubSettings,
  repo: string,
): Error {
  const code = headers.get("x-error-code") ?? "";
  const page = `${endpoint}/${repo}`;
  if (code === "GatedRepo") {
    return new HubError(
      `${repo} is gated: accept its terms at ${page}, ` +
        (token
          ? "with the account of your token (HF_TOKEN)"
          : `then set HF_TOKEN to a token of that account (${endpoint}/settings/tokens)`),
    );
  }
  if (code === "DisabledRepo") return new HubError(`${repo} is disabled by the hub; see ${page}`);
  if (code === "RevisionNotFound") {
    return new HubError(`${repo} has no such revision; see its branches and tags at ${page}`);
  }
  if (code === "EntryNotFound") return new HubError(`${repo} has no such file: ${url}`);
  if (status === 401 && token && code !== "RepoNotFound") {
    return new HubError(
      `the hub refuses the token (HF_TOKEN, or what "hf auth login" stored); make one at ${endpoint}/settings/tokens`,
    );
  }
  if (status === 401 || status === 404) {
    return new HubError(
      `${repo} is not on ${endpoint}, or it is private: ` +
        (token ? "the token has no access to it" : "check its name, or set HF_TOKEN"),
    );
  }
  if (status === 403) {
    return new HubError(`the hub refuses access to ${repo}: ${messageIn(text)}; see ${page}`);
  }
  if (status === 429) {
    const wait = headers.get("retry-after");
    return new HubError(
      `the hub allows no more requests for now: try again ${wait ? `in ${wait} s` : "later"}` +
        (token ? "" : ", or set HF_TOKEN"),
    );
  }
  const message = `${new URL(url).origin} answers ${status}: ${messageIn(text)}`;
  return status >= 500 ? new HubUnreachable(message) : new HubError(`${message} (${url})`);
}

function messageIn(text: string): string {
  try {
    const { error } = JSON.parse(text) as { error?: unknown };
    if (typeof error === "string") return error;
  } catch {
    // Not JSON.
  }
  return text.slice(0, 200).trim() || "no reason given";
}
