// The Worker as one file, and Miniflare's options for it, both derived from wrangler.toml. Wrangler
// itself takes seconds to load, so it is asked only when something it looks at has changed.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

export const root = fileURLToPath(new URL("../..", import.meta.url));

export interface Bundle {
  /** The Worker's one module. */
  script: string;
  /** Miniflare's options for its bindings, as wrangler derives them from wrangler.toml. */
  options: Record<string, unknown>;
}

/** What is not in the Worker's sources but decides what they become. */
const settings = ["wrangler.toml", "package-lock.json"];
const sources = ["gateway/src", "shared/src"];

function digest(): string {
  const hash = createHash("sha256");
  const add = (path: string) => hash.update(path).update(readFileSync(join(root, path)));
  const visit = (folder: string) => {
    for (const entry of readdirSync(join(root, folder), { withFileTypes: true })) {
      const path = `${folder}/${entry.name}`;
      if (entry.isDirectory()) visit(path);
      else if (!/\.test\.ts$|\.d\.ts$/.test(path)) add(path);
    }
  };
  settings.forEach(add);
  sources.forEach(visit);
  return hash.digest("hex");
}

/** Nothing of a local run leaves the machine. */
const offline = {
  CLOUDFLARE_CF_FETCH_ENABLED: "false",
  WRANGLER_SEND_METRICS: "false",
  WRANGLER_SEND_ERROR_REPORTS: "false",
};

async function build(folder: string): Promise<void> {
  const wrangler = join(root, "node_modules/wrangler/bin/wrangler.js");
  const args = ["deploy", "--dry-run", "--outdir", folder, "--config", join(root, "wrangler.toml")];
  const result = spawnSync(process.execPath, [wrangler, ...args], {
    cwd: root,
    encoding: "utf8",
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, ...offline, CI: "1" },
  });
  if (result.status !== 0) {
    throw new Error(`bundling the gateway failed\n${result.stdout}\n${result.stderr}`);
  }
  Object.assign(process.env, offline);
  const { unstable_getMiniflareWorkerOptions } = await import("wrangler");
  const { workerOptions } = unstable_getMiniflareWorkerOptions(join(root, "wrangler.toml"));
  writeFileSync(join(folder, "options.json"), JSON.stringify(workerOptions));
}

/** The bundle in `folder`, rebuilt if it is missing or out of date. */
export async function bundle(folder: string): Promise<Bundle> {
  const stamp = join(folder, "stamp");
  const now = digest();
  if (!existsSync(stamp) || readFileSync(stamp, "utf8") !== now) {
    process.stderr.write("· bundling the gateway\n");
    // Several gateways may start at once (tests do): each builds aside, and the last one stays.
    mkdirSync(dirname(folder), { recursive: true });
    const aside = mkdtempSync(`${folder}.`);
    await build(aside);
    writeFileSync(join(aside, "stamp"), now);
    // Services run it as users of their own.
    chmodSync(aside, 0o755);
    rmSync(folder, { recursive: true, force: true });
    renameSync(aside, folder);
  }
  return {
    script: readFileSync(join(folder, "main.js"), "utf8"),
    options: JSON.parse(readFileSync(join(folder, "options.json"), "utf8")),
  };
}
