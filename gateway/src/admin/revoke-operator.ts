// DELETE /admin/v1/operators/{id}
import { z } from "@hono/zod-openapi";
import { operatorRoute } from "../http/route.ts";
import { operatorView, viewOf } from "./operator-view.ts";
import { OperatorsStore } from "./operators-store.ts";

export const revokeOperator = operatorRoute({
  method: "delete",
  path: "/admin/v1/operators/{id}",
  summary: "Ends an operator's credential, at once",
  request: { params: z.object({ id: z.string() }) },
  response: { description: "The credential, revoked", schema: operatorView },
  async handle(context) {
    return viewOf(await new OperatorsStore(context).revoke(context.params.id ?? ""));
  },
});
