import { z } from "@hono/zod-openapi";

const error = z
  .object({
    error: z.object({
      message: z.string(),
      type: z.string(),
      param: z.string().nullable(),
      code: z.string(),
    }),
  })
  .openapi("Error");

const response = (description: string) => ({
  description,
  content: { "application/json": { schema: error } },
});

/** The errors that any route may return, for the OpenAPI document. */
export const publicErrors = {
  405: response("The path takes other methods; `Allow` lists them"),
};

/** The same of guarded routes. */
export const errorResponses = {
  ...publicErrors,
  400: response("A field is missing, wrong or not supported; `param` names it"),
  401: response("The credential is missing or unknown"),
  403: response("The key is not for this: its scopes say what it is for"),
  404: response("There is no such thing, or model"),
  429: response("The key's limit is reached; `Retry-After` says for how long"),
  503: response("Nothing can answer now; `Retry-After` says when to try again"),
};

/** The same of routes that read a body. */
export const bodyErrors = {
  408: response("The body did not arrive in time"),
  413: response("The body is too large; the message says what is the most"),
  415: response("The body is compressed"),
};
