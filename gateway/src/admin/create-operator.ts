// POST /admin/v1/operators
import { z } from "@hono/zod-openapi";
import { operatorScopes } from "../auth/key-settings.ts";
import { readBody } from "../http/body.ts";
import { jsonBody, operatorRoute } from "../http/route.ts";
import { operatorFields, viewOf } from "./operator-view.ts";
import { OperatorsStore } from "./operators-store.ts";

const body = z
  .strictObject({
    name: z.string().min(1).max(100),
    scope: z.enum(operatorScopes).default("all"),
    expires_at: z.int().min(0).nullable().default(null).openapi({
      description: "Seconds since the epoch; null: never",
    }),
  })
  .openapi("NewOperatorRequest");

export const createOperator = operatorRoute({
  method: "post",
  path: "/admin/v1/operators",
  summary: "Makes a credential for an operator, beside the one of the environment",
  request: jsonBody(body, { name: "alice", scope: "read" }),
  response: {
    description: "The credential",
    schema: z
      .object({
        credential: z.string().openapi({ description: "Shown this once: only a hash is kept" }),
        ...operatorFields,
      })
      .openapi("NewOperator"),
  },
  async handle(context) {
    const { name, scope, expires_at: expires } = await readBody(context.request, body);
    const expiresAt = expires === null ? null : expires * 1_000;
    const made = await new OperatorsStore(context).create(name, scope, expiresAt);
    return { credential: made.credential, ...viewOf(made.operator) };
  },
});
