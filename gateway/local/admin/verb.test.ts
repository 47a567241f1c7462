// What npm run admin refuses before it asks the gateway.
import { expect, it } from "vitest";
import { AdminApi } from "./admin-api.ts";
import { keyVerbs, operatorVerbs, tenantVerbs } from "./keys.ts";
import { poolVerbs, upstreamVerbs } from "./pool.ts";
import { priceVerbs, usageVerbs } from "./usage.ts";
import { type AdminVerb, checkCommand, type Values } from "./verb.ts";

const verbs: Record<string, AdminVerb> = {
  ...{ ...keyVerbs, ...tenantVerbs, ...operatorVerbs, ...usageVerbs },
  ...{ ...priceVerbs, ...poolVerbs, ...upstreamVerbs },
};
/** Nobody listens there. */
const api = new AdminApi("http://127.0.0.1:9");
const price = { currency: "USD", prompt: "1", visible: "1" };

it.each<[string, string[], Values, string]>([
  ["keys create", [], {}, "--tenant is needed"],
  ["keys create", [], { tenant: "a", rpm: "x" }, "--rpm takes a whole number"],
  ["keys create", [], { tenant: "a", expires: "soon" }, "--expires takes a date"],
  ["keys create", [], { tenant: "a", expires: "5" }, "--expires takes a date"],
  ["keys create", [], { tenant: "a", expires: "2099-02-30" }, "--expires takes a date"],
  ["keys change", ["id"], { expires: "2020-01-31" }, "--expires 2020-01-31 has passed"],
  ["operators create", [], { name: "a", expires: "2020-01-31T00:00Z" }, "has passed"],
  ["keys change", ["id"], {}, "keys change takes a setting to change"],
  ["tenants change", ["acme"], {}, "tenants change takes a setting to change"],
  ["tenants change", ["acme"], { name: "a" }, "tenants change takes no --name"],
  ["keys show", ["id"], { rpm: "5" }, "keys show takes no --rpm"],
  ["keys show", [], {}, "keys show takes a key's id"],
  ["keys revoke", ["one", "two"], {}, 'keys revoke takes no argument "two"'],
  ["upstreams add", ["big"], {}, "upstreams add takes a URL after the id"],
  ["audit", [], { csv: true, json: true }, "--csv can't be used with --json"],
  ["prices set", ["m"], { prompt: "1" }, "prices set takes a model, --currency"],
  ["prices set", ["m"], { ...price, from: "later" }, "--from takes a date"],
])("%s %j %j: says why", async (name, args, values, message) => {
  const verb = verbs[name] ?? expect.fail(`there is no ${name}`);
  const ran = (async () => {
    checkCommand(name, verb, args, values);
    await verb.run({ args, values, api });
  })();
  await expect(ran).rejects.toThrow(message);
});
