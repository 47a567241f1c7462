// A server that speaks the paths of the Hugging Face Hub that serve models, for tests: no internet needed.
import { createHash } from "node:crypto";
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export interface HubRepo {
  /** Path → content. */
  files: Record<string, Buffer | string>;
  commit: string;
  /** Branches and tags other than main. */
  tags?: Record<string, string>;
  gated?: boolean;
  private?: boolean;
}

/** What goes wrong with a file, by its path. */
export interface Faults {
  /** Breaks the connection after so many bytes of the whole file, once each. */
  breakAt?: Record<string, number[]>;
  /** Sends other bytes than the tree promises. */
  altered?: Set<string>;
  /** Answers a range with the whole file. */
  noRanges?: boolean;
  /** Announces another size in the tree. */
  announced?: Record<string, number>;
  /** Status of every request. */
  down?: number;
  /** No content is sent before this. */
  contentsAfter?: Promise<void>;
}

export interface HubServer {
  url: string;
  repos: Record<string, HubRepo>;
  faults: Faults;
  /** "METHOD path range", in order; contents come from a host of their own, as on the hub. */
  requests: string[];
  /** Called after each request to the hub itself is recorded. */
  onRequest: () => void;
  /** Authorization headers that reached the host of the contents. */
  leaked: string[];
  /** Of the only account. */
  token: string;
  close(): Promise<void>;
}

/** Contents from this size on are stored as LFS: their hash is SHA-256. */
const LFS_FROM = 1_000;
/** Entries of a tree in one answer. */
const PAGE = 3;

export const sha256 = (content: Buffer | string) =>
  createHash("sha256").update(content).digest("hex");
export const gitSha1 = (content: Buffer | string) =>
  createHash("sha1")
    .update(`blob ${Buffer.byteLength(content)}\0`)
    .update(content)
    .digest("hex");

export async function startHub(repos: Record<string, HubRepo>): Promise<HubServer> {
  const contents = createServer(async (request, response) => {
    record(hub, request);
    await hub.faults.contentsAfter;
    serveContent(hub, request, response);
  });
  const server = createServer((request, response) => {
    hub.requests.push(`${request.method} ${request.url?.split("?")[0]}`);
    hub.onRequest();
    serveHub(hub, origin(contents), request, response);
  });
  for (const each of [contents, server]) {
    each.listen(0, "127.0.0.1");
    await once(each, "listening");
  }
  const hub: HubServer = {
    ...{ url: origin(server), repos, faults: {}, requests: [], leaked: [], token: "hf_known" },
    onRequest: () => {},
    async close() {
      for (const each of [contents, server]) {
        each.closeAllConnections();
        each.close();
        await once(each, "close");
      }
    },
  };
  return hub;
}

const origin = (server: ReturnType<typeof createServer>) =>
  `http://127.0.0.1:${(server.address() as AddressInfo).port}`;

function serveHub(
  hub: HubServer,
  contentHost: string,
  request: IncomingMessage,
  response: ServerResponse,
): ServerResponse {
  const { pathname, searchParams } = new URL(request.url ?? "/", hub.url);
  const refuse = (status: number, error: string, code?: string) => {
    if (code) response.setHeader("x-error-code", code);
    response.writeHead(status, { "content-type": "application/json" });
    return response.end(JSON.stringify({ error }));
  };
  const answer = (value: unknown) =>
    response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(value));
  if (hub.faults.down) return refuse(hub.faults.down, "the hub is down");
  const given = request.headers.authorization;
  if (given && given !== `Bearer ${hub.token}`) return refuse(401, "Invalid credentials");
  const match =
    /^\/api\/models\/([^/]+\/[^/]+)\/(revision|tree)\/([^/]+)$/.exec(pathname) ??
    /^\/([^/]+\/[^/]+)\/(resolve)\/([^/]+)\/(.+)$/.exec(pathname);
  const [, name = "", verb, encoded = "", path = ""] = match ?? [];
  const repo = hub.repos[name];
  if (!repo || (repo.private && !given)) {
    return refuse(given ? 404 : 401, "Repository not found", "RepoNotFound");
  }
  const revision = decodeURIComponent(encoded);
  const known = { main: repo.commit, [repo.commit]: repo.commit, ...repo.tags };
  if (!Object.hasOwn(known, revision)) {
    return refuse(404, `Invalid rev id: ${revision}`, "RevisionNotFound");
  }
  if (verb === "revision") {
    return answer({ _id: "1", id: name, sha: repo.commit, lastModified: new Date(0) });
  }
  if (verb === "tree") return answer(treePage(hub, repo, searchParams, response));
  const file = decodeURIComponent(path);
  if (!Object.hasOwn(repo.files, file)) return refuse(404, "Entry not found", "EntryNotFound");
  if (repo.gated && !given) return refuse(401, "Access is restricted", "GatedRepo");
  const content = repo.files[file] ?? "";
  const etag = Buffer.byteLength(content) >= LFS_FROM ? sha256(content) : gitSha1(content);
  const facts = {
    "x-repo-commit": repo.commit,
    "x-linked-etag": `"${etag}"`,
    "x-linked-size": Buffer.byteLength(content),
  };
  return response.writeHead(302, { ...facts, location: `${contentHost}/${name}/${path}` }).end();
}

function treePage(hub: HubServer, repo: HubRepo, query: URLSearchParams, response: ServerResponse) {
  const entries = Object.entries(repo.files).map(([path, content]) => {
    const size = hub.faults.announced?.[path] ?? Buffer.byteLength(content);
    const lfs = { oid: sha256(content), size, pointerSize: 130 };
    const stored = size >= LFS_FROM ? { lfs } : {};
    return { type: "file", path, size, oid: gitSha1(content), ...stored };
  });
  const at = Number(query.get("cursor") ?? 0);
  if (at + PAGE < entries.length) {
    const next = new URL(`${hub.url}${response.req.url}`);
    next.searchParams.set("cursor", String(at + PAGE));
    response.setHeader("link", `<${next}>; rel="next"`);
  }
  return entries.slice(at, at + PAGE);
}

/** The repository and the path in it that a request for contents names. */
function placeOf({ url = "" }: IncomingMessage): { repo: string; path: string } {
  const [, owner, name, ...rest] = decodeURIComponent(url).split("/");
  return { repo: `${owner}/${name}`, path: rest.join("/") };
}

function record(hub: HubServer, request: IncomingMessage): void {
  const { authorization, range } = request.headers;
  if (authorization) hub.leaked.push(authorization);
  hub.requests.push(`CONTENT ${placeOf(request).path}${range ? ` ${range}` : ""}`);
}

function serveContent(hub: HubServer, request: IncomingMessage, response: ServerResponse): void {
  const { range } = request.headers;
  const { repo, path } = placeOf(request);
  const content = Buffer.from(hub.repos[repo]?.files[path] ?? "");
  if (hub.faults.altered?.has(path)) content[0] = (content[0] ?? 0) ^ 1;
  const asked = hub.faults.noRanges ? null : /^bytes=(\d+)-(\d*)$/.exec(range ?? "");
  const from = Number(asked?.[1] ?? 0);
  const end = asked?.[2] ? Math.min(Number(asked[2]) + 1, content.length) : content.length;
  response.writeHead(asked ? 206 : 200, {
    "content-length": end - from,
    ...(asked && { "content-range": `bytes ${from}-${end - 1}/${content.length}` }),
  });
  const breaks = hub.faults.breakAt?.[path] ?? [];
  const until = breaks.shift();
  if (until === undefined) {
    response.end(content.subarray(from, end));
    return;
  }
  // The bytes are on their way before the connection goes.
  response.write(content.subarray(from, until), () => response.destroy());
}
