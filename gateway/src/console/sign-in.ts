// POST /sign-in
import { z } from "@hono/zod-openapi";
import { ApiError } from "../api-error.ts";
import { readBody } from "../http/body.ts";
import { jsonBody, publicRoute } from "../http/route.ts";
import { takeOffer } from "./sign-in-offer.ts";

const body = z.strictObject({ token: z.string().max(200) });

/** A page of another site can have its own name resolve to this machine, but not call itself by one of these. */
const loopback = new Set(["127.0.0.1", "localhost", "[::1]"]);

const refused = () =>
  new ApiError(
    401,
    "This link has been used, or is too old. Start the gateway again for another one, or give the credentials that it printed.",
    { type: "authentication_error", code: "invalid_sign_in" },
  );

export const signIn = publicRoute({
  method: "post",
  path: "/sign-in",
  summary: "Of a local gateway: the console's credentials for a token that works once",
  request: jsonBody(body),
  response: {
    description: "An API key, and the operator's credential",
    schema: z.object({ key: z.string(), admin: z.string() }),
  },
  async handle({ request, env }) {
    const { token } = await readBody(request, body);
    if (env.ANABRANCH_LOCAL !== "on" || !loopback.has(new URL(request.url).hostname)) {
      throw refused();
    }
    const key = await takeOffer(token);
    if (key === null) throw refused();
    const credentials = { key, admin: env.ANABRANCH_ADMIN_TOKEN };
    return Response.json(credentials, { headers: { "cache-control": "no-store" } });
  },
});
