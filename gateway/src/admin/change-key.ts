// PATCH /admin/v1/keys/{id}
import { z } from "@hono/zod-openapi";
import { settingFields, withFields } from "../auth/key-settings.ts";
import { readBody } from "../http/body.ts";
import { jsonBody, operatorRoute } from "../http/route.ts";
import { keyView, storedKey, viewOf } from "./key-view.ts";
import { KeysStore } from "./keys-store.ts";

const body = z.strictObject(settingFields).openapi("KeyChange");

export const changeKey = operatorRoute({
  method: "patch",
  path: "/admin/v1/keys/{id}",
  summary: "Changes a key's name, limits, scopes, models or expiry; what is absent stays",
  request: { params: z.object({ id: z.string() }), ...jsonBody(body) },
  response: { description: "The key", schema: keyView },
  async handle(context) {
    const given = await readBody(context.request, body);
    const store = new KeysStore(context);
    const key = await storedKey(store, context.params.id);
    await store.change(key, withFields(key, given));
    return viewOf(await storedKey(store, key.keyId));
  },
});
