// GET /admin/v1/operators
import { z } from "@hono/zod-openapi";
import { operatorRoute } from "../http/route.ts";
import { operatorView, viewOf } from "./operator-view.ts";
import { OperatorsStore } from "./operators-store.ts";

export const listOperators = operatorRoute({
  method: "get",
  path: "/admin/v1/operators",
  summary: "The credentials of operators, ended ones too",
  response: {
    description: "In the order in which they were made",
    schema: z.object({ operators: z.array(operatorView) }),
  },
  async handle(context) {
    return { operators: (await new OperatorsStore(context).list()).map(viewOf) };
  },
});
