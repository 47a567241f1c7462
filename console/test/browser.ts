// A real browser for the console's tests: the one that set-up unpacked, or the one that ANABRANCH_BROWSER names.
import { existsSync } from "node:fs";
import { join } from "node:path";
import { type Browser, chromium, type LaunchOptions } from "playwright-core";

const folder = join(import.meta.dirname, "../../.anabranch/browser");
const unpacked = join(folder, "chromium");

/** What the unpacked browser takes from beside it instead of from the system. */
const beside = {
  LD_LIBRARY_PATH: join(folder, "al2023/lib"),
  FONTCONFIG_PATH: join(folder, "fonts"),
};

/** As Playwright launches it. */
export function browserOptions(): LaunchOptions {
  const own = process.env.ANABRANCH_BROWSER;
  return {
    executablePath: own ?? unpacked,
    // Tests run as root, too. Its own pages are all that this browser sees.
    args: ["--no-sandbox", "--disable-gpu"],
    env: {
      ...(process.env as Record<string, string>),
      LC_ALL: "en_US.UTF-8",
      ...(own ? {} : beside),
    },
  };
}

export async function openBrowser(): Promise<Browser> {
  const options = browserOptions();
  if (!existsSync(options.executablePath ?? "")) {
    throw new Error(
      `there is no browser at ${options.executablePath}: run \`npm test\`, which unpacks one, or name a Chromium in ANABRANCH_BROWSER`,
    );
  }
  return chromium.launch(options);
}
