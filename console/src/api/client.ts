// Calls of the gateway's API, typed by its OpenAPI document.
import createClient from "openapi-fetch";
import { admin, key } from "../session.ts";
import { Failure } from "./failure.ts";
import type { components, paths } from "./schema.d.ts";

export type Schemas = components["schemas"];

export const api = createClient<paths>({ baseUrl: location.origin });

api.use({
  onRequest({ request, schemaPath }) {
    const credential = schemaPath.startsWith("/admin/") ? admin.value : key.value;
    request.headers.set("authorization", `Bearer ${credential}`);
    return request;
  },
});

/** The body of an answer. @throws Failure */
export async function bodyOf<T>(
  call: Promise<{ data?: T; error?: unknown; response: Response }>,
): Promise<T> {
  try {
    const { data, error, response } = await call;
    if (data === undefined) throw Failure.ofBody(response.status, error);
    return data;
  } catch (error) {
    throw Failure.from(error);
  }
}
