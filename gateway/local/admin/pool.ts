// npm run admin -- pool, upstreams and cache: what serves, and what is kept of it.
import { integer } from "@anabranch/shared/cli/options.ts";
import { type Json, queryOf } from "./admin-api.ts";
import { changed, isNone, list } from "./settings.ts";
import { lines } from "./text.ts";
import { type AdminVerb, type Option, one, type Values } from "./verb.ts";

const workerLine = (worker: Json): string => {
  const { running, queued, lanes } = worker.requests as Record<string, number>;
  const { free, total } = worker.kv as Record<string, number>;
  const state = worker.draining ? "draining" : worker.healthy ? "healthy" : "silent";
  const models = (worker.models as string[]).join(", ");
  return `${worker.id}  ${state}  ${models}  ${running} running, ${queued} queued, ${lanes} lanes  KV ${free} of ${total} blocks free  ${worker.url}`;
};

export const poolVerbs: Record<string, AdminVerb> = {
  pool: {
    async run({ api }) {
      const pool = await api.call("GET", "/pool");
      return { json: pool, text: lines((pool.workers as Json[]).map(workerLine)) };
    },
  },
  "pool drain": {
    takes: ["a worker's id; see pool"],
    async run({ api, args: [id = ""] }) {
      const drained = await api.call("POST", `/pool/${encodeURIComponent(id)}/drain`);
      return one(drained, () => `${id} gets no new requests until it is started again\n`);
    },
  },
  "cache purge": {
    options: ["tenant", "models"],
    async run({ api, values: { tenant, models } }) {
      let purged = 0;
      for (const model of models ? list(models) : [undefined]) {
        const query = queryOf({ tenant, model });
        purged += Number((await api.call("DELETE", `/cache?${query}`)).purged);
      }
      return one({ purged }, () => `${purged} answers are forgotten\n`);
    },
  },
};

const takesUpstream = "an upstream's id; see upstreams list";

const upstreamLine = (upstream: Json) =>
  `${upstream.id}  ${upstream.error ?? "up"}  ${(upstream.models as string[]).join(", ")}  ${upstream.url}`;

const upstreamOptions: readonly Option[] = ["models", "max-requests", "max-tokens", "without"];

/** Those that are given. */
function upstreamSettings(values: Values): Json {
  const credential = process.env.ANABRANCH_UPSTREAM_CREDENTIAL;
  const { models, "max-requests": requests, "max-tokens": tokens, without } = values;
  const named = (model: string) => {
    const [id, name = id] = model.split("=");
    return { id, name };
  };
  const atOnce = () => (isNone(requests) ? null : integer("max-requests", requests ?? "", 1));
  return {
    ...(credential && { credential }),
    ...(models !== undefined && { models: isNone(models) ? null : list(models).map(named) }),
    ...(requests !== undefined && { max_requests: atOnce() }),
    ...(tokens !== undefined && { default_max_tokens: integer("max-tokens", tokens, 1) }),
    ...(without !== undefined && { without: isNone(without) ? [] : list(without) }),
  };
}

export const upstreamVerbs: Record<string, AdminVerb> = {
  "upstreams list": {
    async run({ api }) {
      const all = await api.call("GET", "/upstreams");
      return { json: all, text: lines((all.upstreams as Json[]).map(upstreamLine)) };
    },
  },
  "upstreams add": {
    takes: ["an id and a URL; see --help", "a URL after the id; see --help"],
    options: upstreamOptions,
    async run({ api, args: [id = "", url = ""], values }) {
      const added = await api.call("POST", "/upstreams", { id, url, ...upstreamSettings(values) });
      return one(added, (upstream) => `${upstreamLine(upstream)}\n`);
    },
  },
  "upstreams change": {
    takes: [takesUpstream],
    options: [...upstreamOptions, "url"],
    async run({ api, args: [id = ""], values }) {
      const settings = { ...(values.url && { url: values.url }), ...upstreamSettings(values) };
      const path = `/upstreams/${encodeURIComponent(id)}`;
      const after = await api.call("PATCH", path, changed("upstreams change", settings));
      return one(after, (upstream) => `${upstreamLine(upstream)}\n`);
    },
  },
  "upstreams remove": {
    takes: [takesUpstream],
    async run({ api, args: [id = ""] }) {
      const gone = await api.call("DELETE", `/upstreams/${encodeURIComponent(id)}`);
      return one(gone, () => `${id} is removed\n`);
    },
  },
};
