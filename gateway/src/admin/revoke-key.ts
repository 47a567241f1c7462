// DELETE /admin/v1/keys/{id}
import { z } from "@hono/zod-openapi";
import { operatorRoute } from "../http/route.ts";
import { keyView, storedKey, viewOf } from "./key-view.ts";
import { KeysStore } from "./keys-store.ts";

export const revokeKey = operatorRoute({
  method: "delete",
  path: "/admin/v1/keys/{id}",
  summary: "Revokes a key, within two seconds everywhere; its usage and history stay",
  request: { params: z.object({ id: z.string() }) },
  response: { description: "The key", schema: keyView },
  async handle(context) {
    const store = new KeysStore(context);
    const key = await storedKey(store, context.params.id);
    // Revoking it again changes nothing.
    const revokedAt = key.revokedAt ?? (await store.revoke(key));
    return viewOf({ ...key, revokedAt });
  },
});
