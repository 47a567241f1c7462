// The gateway's admin API, as npm run admin calls it.
import { gatewaySecret } from "@anabranch/shared/cli/local-gateway.ts";
import { UsageError } from "@anabranch/shared/cli/options.ts";

export type Json = Record<string, unknown>;

export class AdminApi {
  readonly #gateway: string;

  constructor(gateway: string) {
    this.#gateway = gateway;
  }

  /** @throws UsageError without a credential, Error with the gateway's own words */
  async request(method: string, path: string, body?: Json): Promise<Response> {
    const response = await fetch(`${this.#gateway.replace(/\/+$/, "")}/admin/v1${path}`, {
      method,
      headers: {
        authorization: `Bearer ${this.#credential}`,
        "content-type": "application/json",
      },
      ...(body && { body: JSON.stringify(body) }),
    }).catch((error: Error) => {
      const why = error.cause ?? error.message;
      throw new Error(`${this.#gateway} does not answer (${why}); see --gateway`);
    });
    if (response.ok) return response;
    const answer = (await response.json().catch(() => ({}))) as Json;
    const { message = `status ${response.status}` } = (answer.error ?? {}) as { message?: string };
    throw new Error(message);
  }

  async call(method: string, path: string, body?: Json): Promise<Json> {
    return (await (await this.request(method, path, body)).json()) as Json;
  }

  /** All pages of a list. `cursor` is the parameter that takes a page's `next`. */
  async pages(path: string, field: string, cursor: string, filter: Json = {}): Promise<Json[]> {
    const all: Json[] = [];
    for (let next: unknown; ; ) {
      const query = queryOf({ limit: 1_000, ...filter, ...(next ? { [cursor]: next } : {}) });
      const page = await this.call("GET", `${path}?${query}`);
      all.push(...(page[field] as Json[]));
      next = page.next;
      if (next === null) return all;
    }
  }

  get #credential(): string {
    const found = gatewaySecret(this.#gateway, "ANABRANCH_ADMIN_TOKEN");
    if (found) return found;
    throw new UsageError(`set ANABRANCH_ADMIN_TOKEN to the admin credential of ${this.#gateway}`);
  }
}

/** What is undefined is left out. */
export function queryOf(fields: Json): URLSearchParams {
  const given = Object.entries(fields).filter(([, value]) => value !== undefined);
  return new URLSearchParams(given.map(([name, value]): [string, string] => [name, String(value)]));
}
