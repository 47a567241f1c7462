// POST /admin/v1/keys
import { z } from "@hono/zod-openapi";
import { defaultSettings, settingFields, withFields } from "../auth/key-settings.ts";
import { readBody } from "../http/body.ts";
import { jsonBody, operatorRoute } from "../http/route.ts";
import { newKeyView, storedKey, tenantName, viewOf } from "./key-view.ts";
import { KeysStore } from "./keys-store.ts";

const body = z.strictObject({ tenant: tenantName, ...settingFields }).openapi("NewKeyRequest");

export const createKey = operatorRoute({
  method: "post",
  path: "/admin/v1/keys",
  summary: "Makes a key, and its tenant if that is new",
  request: jsonBody(body, { tenant: "acme", name: "app", rpm: 600, tpm: 200_000 }),
  response: { description: "The key", schema: newKeyView },
  async handle(context) {
    const { tenant, ...given } = await readBody(context.request, body);
    const store = new KeysStore(context);
    const { key, keyId } = await store.create(tenant, withFields(defaultSettings, given));
    return { key, ...viewOf(await storedKey(store, keyId)) };
  },
});
