// Runs the gateway on this machine: the same Worker, on workerd, with its storage in a folder.
import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { openStateFolder } from "@anabranch/shared/cli/local-gateway.ts";
import { convertV4MiniflareOptions, Log, LogLevel, Miniflare } from "miniflare";
import { configurationFault } from "../src/configuration.ts";
import { bundle, root } from "./bundle.ts";
import { openFront } from "./front.ts";
import { migrate } from "./migrations.ts";
import { type Secrets, secrets } from "./secrets.ts";
import { workerdEnvironment } from "./workerd.ts";

export interface ServeOptions {
  /** 0: any free port. */
  port: number;
  host?: string;
  /** Where storage and secrets are kept; relative paths resolve from the repository root. */
  state?: string;
  /** One line per request on stderr; default true. */
  accessLog?: boolean;
  /** How many isolates serve, as at the edge, over the same objects and database; default 1. */
  isolates?: number;
  /** Variables of wrangler.toml; what they leave open the environment says. */
  variables?: Record<string, string>;
}

export interface LocalGateway {
  url: string;
  secrets: Secrets;
  /** Ends when the running answers have ended; those that run for longer are cut off. Default: at once. */
  close(drainSeconds?: number): Promise<void>;
}

/** The variables of wrangler.toml that the environment sets otherwise. */
const environmentVariables = (): Record<string, string> =>
  Object.fromEntries(
    [
      ...["ANABRANCH_CORS_ORIGINS", "ANABRANCH_CACHE_HOURS", "ANABRANCH_CACHE_MB"],
      ...["ANABRANCH_USAGE_ROW_DAYS", "ANABRANCH_USAGE_DAYS"],
    ].flatMap((name) => {
      const value = process.env[name];
      return value === undefined ? [] : [[name, value]];
    }),
  );

const urlHost = (host: string) => (host.includes(":") ? `[${host}]` : host);
/** How much longer than its answers a gateway may take to end. */
const graceMs = 5_000;

/** The objects' bindings of another isolate: the first one's objects. */
const sharedObjects = (objects: object) =>
  Object.fromEntries(
    Object.entries(objects as Record<string, object>).map(([name, object]) => [
      name,
      { ...object, scriptName: isolateName(0) },
    ]),
  );
const isolateName = (index: number) => (index === 0 ? "gateway" : `gateway-${index}`);

/** How often it is said that the disk is full, at most. */
const fullDiskMs = 10_000;
let fullDiskTold = 0;

function tellFullDisk(folder: string): void {
  if (Date.now() - fullDiskTold < fullDiskMs) return;
  fullDiskTold = Date.now();
  process.stderr.write(
    `the disk of ${folder} is full: nothing is stored until some of it is free\n`,
  );
}

async function drain(inner: URL, kept: Secrets, seconds: number): Promise<void> {
  try {
    await fetch(new URL("/admin/v1/drain", inner), {
      method: "POST",
      headers: { authorization: `Bearer ${kept.ANABRANCH_ADMIN_TOKEN}` },
      body: JSON.stringify({ seconds }),
      signal: AbortSignal.timeout(seconds * 1_000 + graceMs),
    });
  } catch (error) {
    process.stderr.write(`the gateway could not be drained: ${error}\n`);
  }
}

export async function serve({
  port,
  host,
  state,
  accessLog = true,
  isolates = 1,
  ...given
}: ServeOptions): Promise<LocalGateway> {
  if (!existsSync(join(root, "console/dist/index.html"))) {
    throw new Error("the console is not built: npm run console");
  }
  const folder = openStateFolder(resolve(root, state ?? ".anabranch"));
  const { script, options } = await bundle(join(root, ".anabranch/gateway"));
  const kept = secrets(join(folder, "secrets.json"));
  const variables = { ...environmentVariables(), ...given.variables };
  const fault = configurationFault({ ...kept, ...variables });
  if (fault) throw new Error(fault);
  const { bindings = {}, durableObjects = {}, ...rest } = options;
  const isolate = (index: number) => ({
    ...rest,
    name: isolateName(index),
    durableObjects:
      index === 0 ? (durableObjects as object) : sharedObjects(durableObjects as object),
    modules: [{ type: "ESModule" as const, path: "main.js", contents: script }],
    bindings: {
      ...(bindings as Record<string, string>),
      ...kept,
      ANABRANCH_LOCAL: "on",
      ...(accessLog ? {} : { ANABRANCH_ACCESS_LOG: "off" }),
      ...variables,
    },
    unsafeDirectSockets: [{ host: "127.0.0.1", port: 0 }],
  });
  const indices = Array.from({ length: isolates }, (_, index) => index);
  const miniflare = new Miniflare(
    convertV4MiniflareOptions({
      workers: indices.map(isolate) as never,
      // workerd's own address; clients reach it through the front.
      port: 0,
      host: "127.0.0.1",
      resourcePersistencePath: join(folder, "storage"),
      cf: false,
      log: new Log(LogLevel.WARN),
      telemetry: { enabled: false },
      unsafeRuntimeEnv: workerdEnvironment(folder),
      handleStructuredLogs: ({ level, message }) => {
        process.stderr.write(`gateway ${level}: ${message}\n`);
        if (message.includes("SQLITE_FULL")) tellFullDisk(folder);
      },
    }),
  );
  try {
    await miniflare.ready;
    await migrate(await miniflare.getD1Database("DB", isolateName(0)), join(root, "migrations"));
    const inner = await Promise.all(
      indices.map((index) => miniflare.unsafeGetDirectURL(isolateName(index))),
    );
    const front = await openFront(host ?? "127.0.0.1", port, inner);
    return {
      url: `http://${urlHost(host ?? "127.0.0.1")}:${front.port}`,
      secrets: kept,
      async close(drainSeconds) {
        if (drainSeconds !== undefined) {
          await Promise.all(inner.map((each) => drain(each, kept, drainSeconds)));
        }
        await miniflare.dispose();
        await front.close();
      },
    };
  } catch (error) {
    await miniflare.dispose();
    throw error;
  }
}
