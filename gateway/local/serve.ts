// Runs the gateway on this machine: the same Worker, on workerd, with its storage in a folder.
import { existsSync, mkdirSync } from "node:fs";
import { join, resolve } from "node:path";
import { convertV4MiniflareOptions, Log, LogLevel, Miniflare } from "miniflare";
import { configurationFault } from "../src/configuration.ts";
import { bundle, root } from "./bundle.ts";
import { openFront } from "./front.ts";
import { migrate } from "./migrations.ts";
import { type Secrets, secrets } from "./secrets.ts";

export interface ServeOptions {
  /** 0: any free port. */
  port: number;
  host?: string;
  /** Where storage and secrets are kept; relative paths resolve from the repository root. */
  state?: string;
  /** One line per request on stderr; default true. */
  accessLog?: boolean;
}

export interface LocalGateway {
  url: string;
  secrets: Secrets;
  /** Ends when the running answers have ended; those that run for longer are cut off. Default: at once. */
  close(drainSeconds?: number): Promise<void>;
}

/** The variables of wrangler.toml that the environment sets otherwise. */
const variables = (): Record<string, string> =>
  Object.fromEntries(
    ["ANABRANCH_CORS_ORIGINS", "ANABRANCH_CACHE_HOURS", "ANABRANCH_CACHE_MB"].flatMap((name) => {
      const value = process.env[name];
      return value === undefined ? [] : [[name, value]];
    }),
  );

const urlHost = (host: string) => (host.includes(":") ? `[${host}]` : host);
/** How much longer than its answers a gateway may take to end. */
const graceMs = 5_000;

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
}: ServeOptions): Promise<LocalGateway> {
  if (!existsSync(join(root, "console/dist/index.html"))) {
    throw new Error("the console is not built: npm run console");
  }
  const folder = resolve(root, state ?? ".anabranch");
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const { script, options } = await bundle(join(root, ".anabranch/gateway"));
  const kept = secrets(join(folder, "secrets.json"));
  const fault = configurationFault({ ...kept, ...variables() });
  if (fault) throw new Error(fault);
  const { bindings = {}, ...rest } = options;
  const miniflare = new Miniflare(
    convertV4MiniflareOptions({
      ...rest,
      name: "gateway",
      modules: [{ type: "ESModule", path: "main.js", contents: script }],
      bindings: {
        ...(bindings as Record<string, string>),
        ...kept,
        ANABRANCH_LOCAL: "on",
        ...(accessLog ? {} : { ANABRANCH_ACCESS_LOG: "off" }),
        ...variables(),
      },
      // workerd's own address; clients reach it through the front.
      port: 0,
      host: "127.0.0.1",
      unsafeDirectSockets: [{ host: "127.0.0.1", port: 0 }],
      resourcePersistencePath: join(folder, "storage"),
      cf: false,
      log: new Log(LogLevel.WARN),
      telemetry: { enabled: false },
      handleStructuredLogs: ({ level, message }) =>
        process.stderr.write(`gateway ${level}: ${message}\n`),
    }),
  );
  try {
    await miniflare.ready;
    await migrate(await miniflare.getD1Database("DB"), join(root, "migrations"));
    const inner = await miniflare.unsafeGetDirectURL();
    const front = await openFront(host ?? "127.0.0.1", port, inner);
    return {
      url: `http://${urlHost(host ?? "127.0.0.1")}:${front.port}`,
      secrets: kept,
      async close(drainSeconds) {
        if (drainSeconds !== undefined) await drain(inner, kept, drainSeconds);
        await miniflare.dispose();
        await front.close();
      },
    };
  } catch (error) {
    await miniflare.dispose();
    throw error;
  }
}
