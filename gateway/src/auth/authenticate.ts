// Who may come in: API keys for /v1, the operator's credential for /admin.
import { ApiError } from "../api-error.ts";
import type { Environment } from "../environment.ts";
import { sameSecret } from "./api-key.ts";
import { bearer } from "./bearer.ts";
import { type Caller, findCaller } from "./key-store.ts";

const unauthorized = (message: string) =>
  new ApiError(401, message, {
    type: "authentication_error",
    code: "invalid_api_key",
    headers: { "www-authenticate": "Bearer" },
  });

export async function authenticate(
  request: Request,
  env: Environment,
  waitUntil: (promise: Promise<unknown>) => void,
): Promise<Caller> {
  const key = bearer(request);
  if (key === null) {
    throw unauthorized("You didn't provide an API key: send `Authorization: Bearer <key>`.");
  }
  const caller = await findCaller(env, key, waitUntil);
  if (!caller) throw unauthorized("Incorrect API key provided.");
  return caller;
}

export async function authenticateAdmin(request: Request, env: Environment): Promise<void> {
  const given = bearer(request);
  // An unset credential opens nothing.
  if (!given || !env.ANABRANCH_ADMIN_TOKEN || !(await sameSecret(given, env.ANABRANCH_ADMIN_TOKEN)))
    throw unauthorized("This needs the admin credential.");
}
