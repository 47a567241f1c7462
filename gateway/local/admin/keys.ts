// npm run admin -- keys, tenants and operators: who may call the gateway.
import { integer, UsageError } from "@anabranch/shared/cli/options.ts";
import type { Json } from "./admin-api.ts";
import {
  changed,
  expiry,
  keyOptions,
  keySettings,
  limitOptions,
  noteUnknownModels,
  tenantSettings,
} from "./settings.ts";
import { date, limitTexts, lines } from "./text.ts";
import { type AdminVerb, one } from "./verb.ts";

const keyLine = (key: Json): string =>
  [
    ...[key.id, key.tenant, key.status, key.name || "–"],
    ...limitTexts(key),
    (key.scopes as string[]).join("+"),
    key.models === null ? "all models" : (key.models as string[]).join("+"),
    `expires ${date(key.expires_at)}`,
    ...(key.priority === 0 ? [] : [`priority ${key.priority}`]),
  ].join("  ");

const shownKey = (key: Json) => `${keyLine(key)}\n`;
const madeKey = (key: Json) => `${keyLine(key)}\n${key.key}\nIt is not shown again.\n`;
const keyPath = ([id = ""]: readonly string[]) => `/keys/${encodeURIComponent(id)}`;
const takesKey = ["a key's id; see keys list"];

export const keyVerbs: Record<string, AdminVerb> = {
  "keys list": {
    options: ["tenant"],
    async run({ api, values: { tenant } }) {
      const keys = await api.pages("/keys", "keys", "after", { tenant });
      return { json: { keys }, text: lines(keys.map(keyLine)) };
    },
  },
  "keys create": {
    options: ["tenant", ...keyOptions],
    async run({ api, values }) {
      const { tenant } = values;
      if (!tenant) throw new UsageError("--tenant is needed; see --help");
      const settings = keySettings(values);
      await noteUnknownModels(api, settings.models as string[] | null);
      return one(await api.call("POST", "/keys", { tenant, ...settings }), madeKey);
    },
  },
  "keys show": {
    takes: takesKey,
    run: async ({ api, args }) => one(await api.call("GET", keyPath(args)), shownKey),
  },
  "keys change": {
    takes: takesKey,
    options: keyOptions,
    async run({ api, args, values }) {
      const settings = changed("keys change", keySettings(values));
      await noteUnknownModels(api, settings.models as string[] | null);
      return one(await api.call("PATCH", keyPath(args), settings), shownKey);
    },
  },
  "keys rotate": {
    takes: takesKey,
    options: ["overlap"],
    async run({ api, args, values: { overlap = "3600" } }) {
      const overlap_seconds = integer("overlap", overlap, 0);
      return one(await api.call("POST", `${keyPath(args)}/rotate`, { overlap_seconds }), madeKey);
    },
  },
  "keys revoke": {
    takes: takesKey,
    run: async ({ api, args }) => one(await api.call("DELETE", keyPath(args)), shownKey),
  },
};

function tenantLine(tenant: Json): string {
  const spent = tenant.month as { tokens: number; cost: string } | undefined;
  const month = spent ? [`spent this month ${spent.tokens}, cost ${spent.cost}`] : [];
  return [tenant.id, `weight ${tenant.weight}`, ...limitTexts(tenant), ...month].join("  ");
}

const shownTenant = (tenant: Json) => `${tenantLine(tenant)}\n`;
const tenantPath = ([id = ""]: readonly string[]) => `/tenants/${encodeURIComponent(id)}`;
const takesTenant = ["a tenant's name; see tenants list"];

export const tenantVerbs: Record<string, AdminVerb> = {
  "tenants list": {
    async run({ api }) {
      const tenants = await api.pages("/tenants", "tenants", "after");
      return { json: { tenants }, text: lines(tenants.map(tenantLine)) };
    },
  },
  "tenants show": {
    takes: takesTenant,
    run: async ({ api, args }) => one(await api.call("GET", tenantPath(args)), shownTenant),
  },
  "tenants change": {
    takes: takesTenant,
    options: [...limitOptions, "weight"],
    async run({ api, args, values }) {
      const settings = changed("tenants change", tenantSettings(values));
      return one(await api.call("PATCH", tenantPath(args), settings), shownTenant);
    },
  },
};

const operatorLine = (operator: Json) =>
  [
    ...[operator.id, operator.name, operator.scope, `expires ${date(operator.expires_at)}`],
    ...(operator.revoked_at === null ? [] : ["revoked"]),
  ].join("  ");

export const operatorVerbs: Record<string, AdminVerb> = {
  "operators list": {
    async run({ api }) {
      const all = await api.call("GET", "/operators");
      return { json: all, text: lines((all.operators as Json[]).map(operatorLine)) };
    },
  },
  "operators create": {
    options: ["name", "scopes", "expires"],
    async run({ api, values: { name, scopes: scope, expires } }) {
      if (!name) throw new UsageError("--name is needed; see --help");
      const made = await api.call("POST", "/operators", {
        ...{ name, ...(scope !== undefined && { scope }) },
        ...(expires !== undefined && { expires_at: expiry(expires) }),
      });
      const text = `${operatorLine(made)}\n${made.credential}\nIt is not shown again.\n`;
      return { json: made, text };
    },
  },
  "operators revoke": {
    takes: ["an operator's id; see operators list"],
    async run({ api, args: [id = ""] }) {
      const gone = await api.call("DELETE", `/operators/${encodeURIComponent(id)}`);
      return one(gone, (operator) => `${operatorLine(operator)}\n`);
    },
  },
};
