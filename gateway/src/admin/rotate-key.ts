// POST /admin/v1/keys/{id}/rotate
import { z } from "@hono/zod-openapi";
import { readBody } from "../http/body.ts";
import { jsonBody, operatorRoute } from "../http/route.ts";
import { activeKey, newKeyView, storedKey, viewOf } from "./key-view.ts";
import { KeysStore } from "./keys-store.ts";

const body = z
  .strictObject({
    overlap_seconds: z
      .int()
      .min(0)
      .max(90 * 86_400)
      .openapi({ description: "How long the old key still works" }),
  })
  .openapi("KeyRotation");

export const rotateKey = operatorRoute({
  method: "post",
  path: "/admin/v1/keys/{id}/rotate",
  summary: "Makes a key with the same settings, and lets the old one end",
  request: { params: z.object({ id: z.string() }), ...jsonBody(body) },
  response: { description: "The new key", schema: newKeyView },
  async handle(context) {
    const { overlap_seconds } = await readBody(context.request, body);
    const store = new KeysStore(context);
    const old = await activeKey(store, context.params.id);
    const endsAt = Date.now() + overlap_seconds * 1_000;
    const { key, keyId } = await store.rotate(old, Math.min(endsAt, old.expiresAt ?? endsAt));
    return { key, ...viewOf(await storedKey(store, keyId)) };
  },
});
