// Every route of the OpenAPI document, tried with credentials that must not open it. A new route is covered by
// itself.
import { describe, expect, it } from "vitest";
import { adminHeaders, bearer, call, makeKey } from "../../test/gateway-client.ts";
import { routes } from "../app.ts";
import { forgetKeys } from "./key-store.ts";

const change = (id: string, body: object) =>
  call(`/admin/v1/keys/${id}`, {
    ...{ method: "PATCH", headers: adminHeaders, body: JSON.stringify(body) },
  });

/** Paths that need no credential. A new route is guarded unless listed here. */
const publicPaths = ["/health", "/sign-in"];

const guarded = routes.filter(({ config }) => !publicPaths.includes(config.path));
const isOperators = (path: string) => path.startsWith("/admin/");
const cases = guarded.map(({ config }) => [config.method.toUpperCase(), config.path] as const);

it("what needs no credential is listed, and the document says what needs which", async () => {
  expect((await call("/health")).status).toBe(200);
  const { paths } = await (await call("/openapi.json")).json<{
    paths: Record<string, Record<string, { security?: object[] }>>;
  }>();
  const described = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, { security = [] }]) => {
      const wanted = publicPaths.includes(path) ? [] : [isOperators(path) ? "admin" : "key"];
      expect(security.flatMap(Object.keys), path).toEqual(wanted);
      return `${method} ${path}`;
    }),
  );
  const known = routes.map(({ config }) => `${config.method} ${config.path}`);
  expect(described.sort()).toEqual(known.sort());
});

describe.each(cases)("%s %s", (method, path) => {
  const ask = async (headers: HeadersInit) => {
    forgetKeys();
    const url = path.replaceAll(/\{\w+\}/g, "x");
    const body = method === "GET" || method === "DELETE" ? {} : { body: "{}" };
    return (await call(url, { method, headers, ...body })).status;
  };

  it("opens for no missing, unknown, revoked or expired credential", async () => {
    const revoked = await makeKey("access");
    await call(`/admin/v1/keys/${revoked.id}`, { method: "DELETE", headers: adminHeaders });
    const expired = await makeKey("access");
    await change(expired.id, { expires_at: 1 });
    for (const headers of [{}, bearer("nonsense"), bearer(revoked.key), bearer(expired.key)]) {
      expect(await ask(headers)).toBe(401);
    }
  });

  it("opens for its own kind of credential and for no other", async () => {
    const { key } = await makeKey("access");
    const [own, other] = isOperators(path)
      ? [adminHeaders, bearer(key)]
      : [bearer(key), adminHeaders];
    expect(await ask(other)).toBe(401);
    expect(await ask(own)).not.toBe(401);
  });

  it("says what an under-scoped key is not for", async () => {
    const { id, key } = await makeKey("access");
    const inference = method === "POST" || path.startsWith("/v1/responses");
    await change(id, { scopes: [inference ? "usage" : "inference"] });
    const status = await ask(bearer(key));
    if (isOperators(path)) expect(status).toBe(401);
    else if (path.startsWith("/v1/models")) expect(status).not.toBe(403);
    else expect(status).toBe(403);
  });
});
