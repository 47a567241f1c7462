// PATCH /admin/v1/upstreams/{id}
import { z } from "@hono/zod-openapi";
import { badField } from "../api-error.ts";
import { poolObject } from "../environment.ts";
import { readBody } from "../http/body.ts";
import { jsonBody, operatorRoute } from "../http/route.ts";
import { keepUpstream } from "./keep-upstream.ts";
import { baseUrl, upstreamFields, upstreamUrl, withUpstreamFields } from "./upstream-fields.ts";
import { noUpstream, upstreamView } from "./upstream-view.ts";

const body = z
  .strictObject({ url: upstreamUrl.optional(), ...upstreamFields })
  .openapi("UpstreamChange");

export const changeUpstream = operatorRoute({
  method: "patch",
  path: "/admin/v1/upstreams/{id}",
  summary: "Changes an upstream, if it can be used so; what is absent stays",
  request: { params: z.object({ id: z.string() }), ...jsonBody(body) },
  response: { description: "The upstream", schema: upstreamView },
  async handle(context) {
    const { id = "" } = context.params;
    const given = await readBody(context.request, body);
    const before = await poolObject(context.env).upstream(id);
    if (!before) throw noUpstream(id);
    const url = given.url === undefined ? before.url : baseUrl(given.url);
    // Nobody learns a credential by sending it elsewhere.
    if (url !== before.url && before.credential !== null && given.credential === undefined) {
      throw badField("credential", "A new 'url' needs the 'credential' anew; null: it has none.");
    }
    return await keepUpstream(context, "upstream.change", {
      ...withUpstreamFields(before, given),
      ...{ id, url, addedAt: Date.now() },
    });
  },
});
