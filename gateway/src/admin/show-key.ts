// GET /admin/v1/keys/{id}
import { z } from "@hono/zod-openapi";
import { operatorRoute } from "../http/route.ts";
import { keyView, storedKey, viewOf } from "./key-view.ts";
import { KeysStore } from "./keys-store.ts";

export const showKey = operatorRoute({
  method: "get",
  path: "/admin/v1/keys/{id}",
  summary: "One key",
  request: { params: z.object({ id: z.string() }) },
  response: { description: "The key", schema: keyView },
  handle: async (context) => viewOf(await storedKey(new KeysStore(context), context.params.id)),
});
