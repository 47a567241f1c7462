// POST /admin/v1/sign-in
import { z } from "@hono/zod-openapi";
import { ApiError } from "../api-error.ts";
import { readBody } from "../http/body.ts";
import { jsonBody, operatorRoute } from "../http/route.ts";
import { makeOffer, offerSeconds } from "./sign-in-offer.ts";

const body = z.strictObject({
  key: z.string().min(1).max(200).openapi({ description: "The API key that the console gets" }),
});

export const offerSignIn = operatorRoute({
  method: "post",
  path: "/admin/v1/sign-in",
  summary:
    "Of a local gateway: a token with which the console signs in once, in place of the one before",
  request: jsonBody(body),
  response: {
    description: "The token, for the fragment of the console's address: `#sign-in=TOKEN`",
    schema: z.object({
      token: z.string(),
      expires_in: z.int().openapi({ description: "Seconds" }),
    }),
  },
  async handle({ request, env, operator }) {
    // The link gives the credential of the environment, which outlives any other.
    if (operator !== "") {
      throw new ApiError(403, "This needs the credential ANABRANCH_ADMIN_TOKEN itself.", {
        type: "permission_error",
        code: "insufficient_scope",
      });
    }
    const { key } = await readBody(request, body);
    if (env.ANABRANCH_LOCAL !== "on") {
      throw new ApiError(409, "Only a local gateway has links that sign in.", {
        code: "not_local",
      });
    }
    return { token: makeOffer(key), expires_in: offerSeconds };
  },
});
