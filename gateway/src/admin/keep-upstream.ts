// What adding and changing an upstream have in common.
import type { z } from "@hono/zod-openapi";
import { ApiError } from "../api-error.ts";
import { poolObject } from "../environment.ts";
import type { RequestContext } from "../http/context.ts";
import type { UpstreamSettings } from "../upstreams/upstream.ts";
import { AuditStore } from "./audit-store.ts";
import { type upstreamView, viewOf } from "./upstream-view.ts";

/** Throws a 422 ApiError if it can't be used; one with its id then stays as it is. */
export async function keepUpstream(
  context: RequestContext,
  action: "upstream.add" | "upstream.change",
  settings: UpstreamSettings,
): Promise<z.output<typeof upstreamView>> {
  const kept = await poolObject(context.env).addUpstream(settings);
  if (kept.error !== null) {
    const message = `The upstream can't be used: ${kept.error}.`;
    throw new ApiError(422, message, { param: "url", code: "upstream_unusable" });
  }
  const { settings: detail, hasCredential } = kept;
  await new AuditStore(context).entry({
    ...{ action, tenantId: "", keyId: "", detail: { ...detail, hasCredential } },
  });
  return viewOf(kept);
}
