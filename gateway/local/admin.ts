// npm run admin: what an operator does with keys, from a terminal, through the gateway's admin API.
import { failCommand, readCommandLine } from "@anabranch/shared/cli/command.ts";
import { kept, localGateway } from "@anabranch/shared/cli/local-gateway.ts";
import { integer, UsageError } from "@anabranch/shared/cli/options.ts";

const help = `npm run admin -- COMMAND [options]

  keys list [--tenant T]             all keys, or a tenant's
  keys create --tenant T [settings]  makes a key; it is shown this once
  keys show ID
  keys change ID [settings]
  keys rotate ID [--overlap SECONDS] makes a key with the same settings; the old one works for SECONDS more (default
                                     3600)
  keys revoke ID                     within two seconds everywhere
  tenants list
  tenants show T                     its weight and limits, and what it has spent this month
  tenants change T [limits]          limits of all its keys together
                                     --weight N: its part of a full worker, beside that of others (1 to 100)
  audit [--tenant T] [--csv]         what was changed, the newest first
  usage [--by A,B] [--tenant T]      what was used in the last --days days (default 30), by hour or day, tenant, key,
                                     model, endpoint, mode, status, cache, worker; --csv for a table
  prices list                        what models cost: past, present and future prices
  prices set MODEL --currency USD --prompt P --visible V [--cached C] [--from DATE]
                                     for a million tokens of prompts, of those the cached ones (default: P), and of
                                     what clients see; from DATE (default: now) on
  prices delete MODEL                it costs nothing from now on
  operators list                     credentials of the admin API, beside the one of the environment
  operators create --name N          makes one; it is shown this once. --scopes read: it changes nothing; --expires DATE
  operators revoke ID                at once
  pool                               the workers, and how busy they are
  upstreams list                     servers with OpenAI's API that belong to the pool
  upstreams add ID URL               adds one; URL is what an OpenAI SDK takes, such as http://10.0.0.5:8000/v1. Its
                                     credential, if it needs one, is taken from ANABRANCH_UPSTREAM_CREDENTIAL
                                     --models A,B=NAME: the models to serve, B under the server's name NAME
                                     --max-requests N: at once; --max-tokens N: for requests that name none
                                     --without tools,response_format: what the server does not have
  upstreams remove ID
  cache purge [--tenant T] [--models A,B]
                                     forgets cached answers: a tenant's, those of models, or all

Settings; "none" takes a limit, an expiry or a list of models away:
  --name NAME
  --rpm N, --tpm N                   requests and tokens per minute
  --concurrent N, --monthly N        requests at once, tokens per calendar month
  --monthly-cost AMOUNT              money per calendar month, in the currency of the prices
  --scopes A,B                       inference, usage
  --models A,B                       the models that the key may use
  --expires DATE                     such as 2027-01-31 or 2027-01-31T12:00:00Z
  --priority=N                       -1000 to 1000: where requests wait, those of a higher one go first

  --gateway URL                      (default ANABRANCH_GATEWAY, or http://127.0.0.1:8787, or the port in ANABRANCH_PORT)
  --json                             print one JSON value to stdout

The operator's credential is ANABRANCH_ADMIN_TOKEN, or what npm start has made on this machine
(secrets.json in .anabranch, or in the folder that ANABRANCH_STATE names).
`;

const options = {
  tenant: { type: "string" },
  name: { type: "string" },
  weight: { type: "string" },
  rpm: { type: "string" },
  tpm: { type: "string" },
  concurrent: { type: "string" },
  monthly: { type: "string" },
  "monthly-cost": { type: "string" },
  currency: { type: "string" },
  prompt: { type: "string" },
  cached: { type: "string" },
  visible: { type: "string" },
  from: { type: "string" },
  scopes: { type: "string" },
  models: { type: "string" },
  expires: { type: "string" },
  priority: { type: "string" },
  "max-requests": { type: "string" },
  "max-tokens": { type: "string" },
  without: { type: "string" },
  by: { type: "string", default: "tenant,model" },
  days: { type: "string", default: "30" },
  csv: { type: "boolean", default: false },
  overlap: { type: "string", default: "3600" },
  gateway: { type: "string" },
  json: { type: "boolean", default: false },
} as const;

const { values, positionals } = readCommandLine({
  name: "admin",
  help,
  options,
  positionals: true,
});

type Json = Record<string, unknown>;

function credential(): string {
  const name = "ANABRANCH_ADMIN_TOKEN";
  const found = process.env[name] || kept("secrets.json", name);
  if (found) return found;
  throw new UsageError(`set ${name} to the gateway's admin credential`);
}

async function request(method: string, path: string, body?: Json): Promise<Response> {
  const gateway = values.gateway ?? (process.env.ANABRANCH_GATEWAY || localGateway());
  const response = await fetch(`${gateway}/admin/v1${path}`, {
    method,
    headers: { authorization: `Bearer ${credential()}`, "content-type": "application/json" },
    ...(body && { body: JSON.stringify(body) }),
  }).catch((error: Error) => {
    throw new Error(`${gateway} does not answer (${error.cause ?? error.message}); see --gateway`);
  });
  if (response.ok) return response;
  const answer = (await response.json().catch(() => ({}))) as Json;
  const { message = `status ${response.status}` } = (answer.error ?? {}) as { message?: string };
  throw new Error(message);
}

const call = async (method: string, path: string, body?: Json): Promise<Json> =>
  (await (await request(method, path, body)).json()) as Json;

/** All pages of a list. */
async function pages(path: string, field: string, cursor: string): Promise<Json[]> {
  const all: Json[] = [];
  const tenant = values.tenant === undefined ? {} : { tenant: values.tenant };
  for (let next: unknown; ; ) {
    const query = new URLSearchParams({ limit: "1000", ...tenant });
    if (next) query.set(cursor, String(next));
    const page = await call("GET", `${path}?${query}`);
    all.push(...(page[field] as Json[]));
    next = page.next;
    if (next === null) return all;
  }
}

/** All pages of the audit log as one table. Fields with line ends are quoted, and none of ours has one. */
async function auditCsv(query: URLSearchParams): Promise<string> {
  let all = "";
  for (;;) {
    const [head = "", ...rows] = (await (await request("GET", `/audit?${query}`)).text())
      .trim()
      .split("\n");
    all += lines(all === "" ? [head, ...rows] : rows);
    const last = rows.at(-1)?.split(",")[0];
    if (rows.length < 1_000 || last === undefined) return all;
    query.set("before", last);
  }
}

/** All pages of a report. */
async function usageReport(query: Record<string, string>): Promise<Json> {
  const rows: unknown[] = [];
  for (let offset: unknown = 0; ; ) {
    const page = await call(
      "GET",
      `/usage?${new URLSearchParams({ ...query, offset: String(offset) })}`,
    );
    rows.push(...(page.rows as unknown[]));
    offset = page.next;
    if (offset === null) return { ...page, rows };
  }
}

/** The same as one table. */
async function usageCsv(query: Record<string, string>): Promise<string> {
  let all = "";
  for (let offset: string | null = "0"; offset !== null; ) {
    const path = `/usage?${new URLSearchParams({ ...query, format: "csv", offset })}`;
    const page = await request("GET", path);
    const csv = await page.text();
    all += all === "" ? csv : csv.slice(csv.indexOf("\n") + 1);
    offset = page.headers.get("x-next-offset");
  }
  return all;
}

const isNone = (value: string) => value === "none";
const limit = (name: string, value: string) => (isNone(value) ? null : integer(name, value, 1));
const list = (value: string) => value.split(",").map((each) => each.trim());

/** In seconds since the epoch. */
function time(name: string, value: string): number {
  const ms = Date.parse(value);
  if (Number.isNaN(ms)) throw new UsageError(`--${name} takes a date, not "${value}"`);
  return Math.floor(ms / 1_000);
}

const expiry = (value: string) => (isNone(value) ? null : time("expires", value));

function limits(): Json {
  const { rpm, tpm, concurrent, monthly, "monthly-cost": cost } = values;
  return {
    ...(rpm !== undefined && { rpm: limit("rpm", rpm) }),
    ...(tpm !== undefined && { tpm: limit("tpm", tpm) }),
    ...(concurrent !== undefined && { max_concurrent: limit("concurrent", concurrent) }),
    ...(monthly !== undefined && { tokens_per_month: limit("monthly", monthly) }),
    ...(cost !== undefined && { cost_per_month: isNone(cost) ? null : cost }),
  };
}

function tenantSettings(): Json {
  const { weight } = values;
  return {
    ...limits(),
    ...(weight !== undefined && { weight: integer("weight", weight, 1, 100) }),
  };
}

function settings(): Json {
  const { name, scopes, models, expires, priority } = values;
  return {
    ...limits(),
    ...(priority !== undefined && { priority: integer("priority", priority, -1_000, 1_000) }),
    ...(name !== undefined && { name }),
    ...(scopes !== undefined && { scopes: list(scopes) }),
    ...(models !== undefined && { models: isNone(models) ? null : list(models) }),
    ...(expires !== undefined && { expires_at: expiry(expires) }),
  };
}

const date = (seconds: unknown) =>
  typeof seconds === "number" ? new Date(seconds * 1_000).toISOString().slice(0, 16) : "never";

const limitTexts = (holder: Json): string[] => [
  `rpm ${holder.rpm ?? "–"}`,
  `tpm ${holder.tpm ?? "–"}`,
  `at once ${holder.max_concurrent ?? "–"}`,
  `a month ${holder.tokens_per_month ?? "–"}`,
  `cost a month ${holder.cost_per_month ?? "–"}`,
];

function tenantLine(tenant: Json): string {
  const spent = tenant.month as { tokens: number; cost: string } | undefined;
  const month = spent ? [`spent this month ${spent.tokens}, cost ${spent.cost}`] : [];
  return [tenant.id, `weight ${tenant.weight}`, ...limitTexts(tenant), ...month].join("  ");
}

const keyLine = (key: Json): string =>
  [
    ...[key.id, key.tenant, key.status, key.name || "–"],
    ...limitTexts(key),
    (key.scopes as string[]).join("+"),
    key.models === null ? "all models" : (key.models as string[]).join("+"),
    `expires ${date(key.expires_at)}`,
    ...(key.priority === 0 ? [] : [`priority ${key.priority}`]),
  ].join("  ");

const madeText = (key: Json): string => `${keyLine(key)}\n${key.key}\nIt is not shown again.\n`;
const lines = (rows: readonly string[]): string => rows.map((row) => `${row}\n`).join("");

const auditLine = ({ at, action, tenant, key, detail }: Json): string =>
  `${new Date(at as number).toISOString()}  ${action}  ${tenant}  ${key}  ${JSON.stringify(detail)}`;

const workerLine = (worker: Json): string => {
  const { running, queued, lanes } = worker.requests as Record<string, number>;
  const { free, total } = worker.kv as Record<string, number>;
  const state = worker.draining ? "draining" : worker.healthy ? "healthy" : "silent";
  const models = (worker.models as string[]).join(", ");
  return `${worker.id}  ${state}  ${models}  ${running} running, ${queued} queued, ${lanes} lanes  KV ${free} of ${total} blocks free  ${worker.url}`;
};

/** A table of numbers and names, for people. */
function aligned(csv: string): string {
  const rows = csv
    .trim()
    .split("\n")
    .map((line) => line.split(","));
  const widths = (rows[0] ?? []).map((_, i) => Math.max(...rows.map((row) => row[i]?.length ?? 0)));
  return lines(rows.map((row) => row.map((text, i) => text.padStart(widths[i] ?? 0)).join("  ")));
}

interface Result {
  json: unknown;
  text: string;
}

const one = (json: Json, text: (key: Json) => string): Result => ({ json, text: text(json) });
const shown = (key: Json) => `${keyLine(key)}\n`;

const operatorLine = (operator: Json) =>
  [
    ...[operator.id, operator.name, operator.scope, `expires ${date(operator.expires_at)}`],
    ...(operator.revoked_at === null ? [] : ["revoked"]),
  ].join("  ");

const upstreamLine = (upstream: Json) =>
  `${upstream.id}  ${upstream.error ?? "up"}  ${(upstream.models as string[]).join(", ")}  ${upstream.url}`;

function newUpstream(id: string | undefined, url: string | undefined): Json {
  if (!id || !url) throw new UsageError("upstreams add takes an id and a URL; see --help");
  const credential = process.env.ANABRANCH_UPSTREAM_CREDENTIAL;
  const { models, "max-requests": requests, "max-tokens": tokens, without } = values;
  const named = (model: string) => {
    const [id, name = id] = model.split("=");
    return { id, name };
  };
  return {
    id,
    url,
    ...(credential && { credential }),
    ...(models !== undefined && { models: list(models).map(named) }),
    ...(requests !== undefined && { max_requests: integer("max-requests", requests, 1) }),
    ...(tokens !== undefined && { default_max_tokens: integer("max-tokens", tokens, 1) }),
    ...(without !== undefined && { without: list(without) }),
  };
}

const priceLine = (price: Json) =>
  [
    ...[price.model, `from ${date(price.from)}`, price.currency],
    ...(price.prompt === null
      ? ["none"]
      : [`prompt ${price.prompt}`, `cached ${price.cached}`, `visible ${price.visible}`]),
  ].join("  ");

function newPrice(model: string | undefined): Json {
  const { currency, prompt, cached, visible, from } = values;
  if (!model || !currency || !prompt || !visible) {
    throw new UsageError(
      "prices set takes a model, --currency, --prompt and --visible; see --help",
    );
  }
  return {
    ...{ model, currency, prompt, visible },
    ...(cached !== undefined && { cached }),
    ...(from !== undefined && { from: time("from", from) }),
  };
}

async function run([noun, verb, id, url]: string[]): Promise<Result> {
  const path = () => {
    if (id) return `/keys/${encodeURIComponent(id)}`;
    throw new UsageError(`keys ${verb} takes a key's id; see keys list`);
  };
  const tenantPath = () => {
    if (id) return `/tenants/${encodeURIComponent(id)}`;
    throw new UsageError(`tenants ${verb} takes a tenant's name; see tenants list`);
  };
  const verbs = ["keys", "tenants", "prices", "operators", "upstreams", "cache"];
  switch (noun && verbs.includes(noun) ? `${noun} ${verb}` : noun) {
    case "keys list": {
      const keys = await pages("/keys", "keys", "after");
      return { json: { keys }, text: lines(keys.map(keyLine)) };
    }
    case "keys create": {
      if (!values.tenant) throw new UsageError("--tenant is needed; see --help");
      return one(await call("POST", "/keys", { tenant: values.tenant, ...settings() }), madeText);
    }
    case "keys show":
      return one(await call("GET", path()), shown);
    case "keys change":
      return one(await call("PATCH", path(), settings()), shown);
    case "keys rotate": {
      const overlap_seconds = integer("overlap", values.overlap, 0);
      return one(await call("POST", `${path()}/rotate`, { overlap_seconds }), madeText);
    }
    case "keys revoke":
      return one(await call("DELETE", path()), shown);
    case "tenants list": {
      const tenants = await pages("/tenants", "tenants", "after");
      return { json: { tenants }, text: lines(tenants.map(tenantLine)) };
    }
    case "tenants show":
      return one(await call("GET", tenantPath()), (tenant) => `${tenantLine(tenant)}\n`);
    case "tenants change": {
      const changed = await call("PATCH", tenantPath(), tenantSettings());
      return one(changed, (tenant) => `${tenantLine(tenant)}\n`);
    }
    case "prices list": {
      const all = await call("GET", "/prices");
      return { json: all, text: lines((all.prices as Json[]).map(priceLine)) };
    }
    case "prices set":
      return one(await call("POST", "/prices", newPrice(id)), (price) => `${priceLine(price)}\n`);
    case "prices delete": {
      if (!id) throw new UsageError("prices delete takes a model; see prices list");
      const gone = await call("DELETE", `/prices?${new URLSearchParams({ model: id })}`);
      return one(gone, () => `${id} costs nothing from now on\n`);
    }
    case "operators list": {
      const all = await call("GET", "/operators");
      return { json: all, text: lines((all.operators as Json[]).map(operatorLine)) };
    }
    case "operators create": {
      const { name, scopes: scope, expires } = values;
      if (!name) throw new UsageError("--name is needed; see --help");
      const made = await call("POST", "/operators", {
        ...{ name, ...(scope !== undefined && { scope }) },
        ...(expires !== undefined && { expires_at: expiry(expires) }),
      });
      return one(
        made,
        ({ credential }) => `${operatorLine(made)}\n${credential}\nIt is not shown again.\n`,
      );
    }
    case "operators revoke": {
      if (!id) throw new UsageError("operators revoke takes an id; see operators list");
      const gone = await call("DELETE", `/operators/${encodeURIComponent(id)}`);
      return one(gone, (operator) => `${operatorLine(operator)}\n`);
    }
    case "audit": {
      if (values.csv) {
        const query = new URLSearchParams({
          ...{ limit: "1000", format: "csv" },
          ...(values.tenant !== undefined && { tenant: values.tenant }),
        });
        return { json: null, text: await auditCsv(query) };
      }
      const entries = await pages("/audit", "entries", "before");
      return { json: { entries }, text: lines(entries.map(auditLine)) };
    }
    case "usage": {
      const { by, tenant } = values;
      // Rows of later requests don't come between the pages.
      const end = Math.floor(Date.now() / 1_000) + 1;
      const start = end - 86_400 * integer("days", values.days, 1, 36_500);
      const query = {
        ...{ by, start: String(start), end: String(end) },
        ...(tenant !== undefined && { tenant }),
      };
      if (values.json) return { json: await usageReport(query), text: "" };
      const csv = await usageCsv(query);
      return { json: null, text: values.csv ? csv : aligned(csv) };
    }
    case "pool": {
      const pool = await call("GET", "/pool");
      return { json: pool, text: lines((pool.workers as Json[]).map(workerLine)) };
    }
    case "cache purge": {
      const { tenant, models } = values;
      let purged = 0;
      for (const model of models ? list(models) : [""]) {
        const query = new URLSearchParams({ ...(tenant && { tenant }), ...(model && { model }) });
        purged += Number((await call("DELETE", `/cache?${query}`)).purged);
      }
      return one({ purged }, () => `${purged} answers are forgotten\n`);
    }
    case "upstreams list": {
      const all = await call("GET", "/upstreams");
      return { json: all, text: lines((all.upstreams as Json[]).map(upstreamLine)) };
    }
    case "upstreams add": {
      const added = await call("POST", "/upstreams", newUpstream(id, url));
      return one(added, (upstream) => `${upstreamLine(upstream)}\n`);
    }
    case "upstreams remove": {
      if (!id) throw new UsageError("upstreams remove takes an upstream's id; see upstreams list");
      const gone = await call("DELETE", `/upstreams/${encodeURIComponent(id)}`);
      return one(gone, () => `${id} is removed\n`);
    }
    default:
      throw new UsageError(
        "say what to do: keys, tenants, prices, operators, audit, usage, pool, upstreams or cache; see --help",
      );
  }
}

try {
  const { json, text } = await run(positionals);
  process.stdout.write(values.json ? `${JSON.stringify(json)}\n` : text);
} catch (error) {
  failCommand("admin", error);
}
