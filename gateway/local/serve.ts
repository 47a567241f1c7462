// Runs the gateway on this machine: the same Worker, on workerd, with its storage in a folder.
import { mkdirSync } from "node:fs";
import { join, resolve } from "node:path";
import { convertV4MiniflareOptions, Log, LogLevel, Miniflare } from "miniflare";
import { bundle, root } from "./bundle.ts";
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
  close(): Promise<void>;
}

export async function serve({
  port,
  host,
  state,
  accessLog = true,
}: ServeOptions): Promise<LocalGateway> {
  const folder = resolve(root, state ?? ".anabranch");
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const { script, options } = await bundle(join(root, ".anabranch/gateway"));
  const kept = secrets(join(folder, "secrets.json"));
  const { bindings = {}, ...rest } = options;
  const miniflare = new Miniflare(
    convertV4MiniflareOptions({
      ...rest,
      name: "gateway",
      modules: [{ type: "ESModule", path: "main.js", contents: script }],
      bindings: {
        ...(bindings as Record<string, string>),
        ...kept,
        ...(accessLog ? {} : { ANABRANCH_ACCESS_LOG: "off" }),
      },
      port,
      host: host ?? "127.0.0.1",
      resourcePersistencePath: join(folder, "storage"),
      cf: false,
      log: new Log(LogLevel.WARN),
      telemetry: { enabled: false },
      handleStructuredLogs: ({ level, message }) =>
        process.stderr.write(`gateway ${level}: ${message}\n`),
    }),
  );
  try {
    const url = (await miniflare.ready).href.replace(/\/$/, "");
    await migrate(await miniflare.getD1Database("DB"), join(root, "migrations"));
    return { url, secrets: kept, close: () => miniflare.dispose() };
  } catch (error) {
    await miniflare.dispose();
    throw error;
  }
}
