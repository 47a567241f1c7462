// An operator's credential as the admin API shows it.
import { z } from "@hono/zod-openapi";
import { operatorScopes } from "../auth/key-settings.ts";
import type { StoredOperator } from "./operators-store.ts";

const seconds = z.int().openapi({ description: "Seconds since the epoch" });

export const operatorFields = {
  id: z.string().openapi({ description: "The credential's public part" }),
  name: z.string(),
  scope: z.enum(operatorScopes).openapi({ description: "read: what changes nothing" }),
  created_at: seconds,
  expires_at: seconds.nullable(),
  revoked_at: seconds.nullable(),
};

export const operatorView = z.object(operatorFields).openapi("Operator");

const inSeconds = (ms: number | null) => (ms === null ? null : Math.floor(ms / 1_000));

export const viewOf = (operator: StoredOperator): z.output<typeof operatorView> => ({
  ...{ id: operator.operatorId, name: operator.name, scope: operator.scope },
  created_at: Math.floor(operator.createdAt / 1_000),
  expires_at: inSeconds(operator.expiresAt),
  revoked_at: inSeconds(operator.revokedAt),
});
