// npm run admin -- usage, audit and prices: what was used, what was changed, what it costs.
import { integer, UsageError } from "@anabranch/shared/cli/options.ts";
import { type AdminApi, type Json, queryOf } from "./admin-api.ts";
import { noteUnknownModels, time } from "./settings.ts";
import { date, lines, localTime, table } from "./text.ts";
import { type AdminVerb, one, type Values } from "./verb.ts";

/** All pages of a report. */
async function usageReport(api: AdminApi, query: Json): Promise<Json & { rows: Json[] }> {
  const rows: Json[] = [];
  for (let offset: unknown = 0; ; ) {
    const page = await api.call("GET", `/usage?${queryOf({ ...query, offset })}`);
    rows.push(...(page.rows as Json[]));
    offset = page.next;
    if (offset === null) return { ...page, rows };
  }
}

/** The same as one CSV. */
async function usageCsv(api: AdminApi, query: Json): Promise<string> {
  let all = "";
  for (let offset: string | null = "0"; offset !== null; ) {
    const path = `/usage?${queryOf({ ...query, format: "csv", offset })}`;
    const page = await api.request("GET", path);
    const csv = await page.text();
    all += all === "" ? csv : csv.slice(csv.indexOf("\n") + 1);
    offset = page.headers.get("x-next-offset");
  }
  return all;
}

/** For people: the beginning of each hour or day in this machine's time. */
function usageTable({ rows, currency }: Json & { rows: Json[] }, by: string): string {
  const ofTime = by.split(",").includes("hour") ? "hour" : "day";
  const shown = (name: string, value: unknown) => {
    if (name === "start") return date(value).slice(0, ofTime === "hour" ? 16 : 10);
    return String(value ?? "");
  };
  const [first] = rows;
  if (!first) return "";
  const names = Object.keys(first);
  return table([
    names.map((name) => {
      if (name === "start") return ofTime;
      return name === "cost" && currency ? `cost ${currency}` : name;
    }),
    ...rows.map((row) => names.map((name) => shown(name, row[name]))),
  ]);
}

const auditLine = ({ at, action, tenant, key, detail }: Json): string =>
  `${localTime(at as number)}  ${action}  ${tenant}  ${key}  ${JSON.stringify(detail)}`;

/** All pages of the audit log as one table. Fields with line ends are quoted, and none of ours has one. */
async function auditCsv(api: AdminApi, tenant: string | undefined): Promise<string> {
  let all = "";
  for (let before: string | undefined; ; ) {
    const query = queryOf({ limit: 1_000, format: "csv", tenant, before });
    const csv = await (await api.request("GET", `/audit?${query}`)).text();
    const [head = "", ...rows] = csv.trim().split("\n");
    all += lines(all === "" ? [head, ...rows] : rows);
    before = rows.at(-1)?.split(",")[0];
    if (rows.length < 1_000 || before === undefined) return all;
  }
}

const priceLine = (price: Json) =>
  [
    ...[price.model, `from ${date(price.from)}`, price.currency],
    ...(price.prompt === null
      ? ["none"]
      : [`prompt ${price.prompt}`, `cached ${price.cached}`, `visible ${price.visible}`]),
  ].join("  ");

function newPrice(model: string, { currency, prompt, cached, visible, from }: Values): Json {
  if (!currency || !prompt || !visible) {
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

export const usageVerbs: Record<string, AdminVerb> = {
  audit: {
    options: ["tenant", "csv"],
    async run({ api, values: { tenant, csv } }) {
      if (csv) return { json: null, text: await auditCsv(api, tenant) };
      const entries = await api.pages("/audit", "entries", "before", { tenant });
      return { json: { entries }, text: lines(entries.map(auditLine)) };
    },
  },
  usage: {
    options: ["by", "tenant", "days", "csv"],
    async run({ api, values }) {
      const { by = "tenant,model", days = "30", tenant, csv, json } = values;
      // Rows of later requests don't come between the pages.
      const end = Math.floor(Date.now() / 1_000) + 1;
      const start = end - 86_400 * integer("days", days, 1, 36_500);
      const query = { by, tenant, start, end };
      if (csv) return { json: null, text: await usageCsv(api, query) };
      if (json) return { json: await usageReport(api, query), text: "" };
      const utc_offset = -new Date().getTimezoneOffset();
      return { json: null, text: usageTable(await usageReport(api, { ...query, utc_offset }), by) };
    },
  },
};

export const priceVerbs: Record<string, AdminVerb> = {
  "prices list": {
    async run({ api }) {
      const all = await api.call("GET", "/prices");
      return { json: all, text: lines((all.prices as Json[]).map(priceLine)) };
    },
  },
  "prices set": {
    takes: ["a model, --currency, --prompt and --visible; see --help"],
    options: ["currency", "prompt", "cached", "visible", "from"],
    async run({ api, args: [model = ""], values }) {
      const price = newPrice(model, values);
      await noteUnknownModels(api, [model]);
      return one(await api.call("POST", "/prices", price), (set) => `${priceLine(set)}\n`);
    },
  },
  "prices delete": {
    takes: ["a model; see prices list"],
    async run({ api, args: [model = ""] }) {
      const gone = await api.call("DELETE", `/prices?${queryOf({ model })}`);
      return one(gone, () => `${model} costs nothing from now on\n`);
    },
  },
};
