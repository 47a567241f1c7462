// `node gateway/local/main.ts [--port N] [--host H] [--state DIR]`: the gateway in the foreground. One
// JSON line on stdout when it listens; SIGINT or SIGTERM ends it and its workerd once the running answers have
// ended, at most ANABRANCH_DRAIN_SECONDS (30) later. A second signal ends them at once.
// ANABRANCH_ACCESS_LOG=off: no line for each request.
import { parseArgs } from "node:util";
import { stateFolder } from "@anabranch/shared/cli/local-gateway.ts";
import { serve } from "./serve.ts";

const { values } = parseArgs({
  options: {
    port: { type: "string", default: process.env.ANABRANCH_PORT || "8787" },
    host: { type: "string", default: "127.0.0.1" },
    state: { type: "string", default: stateFolder() },
  },
});

// `npm start`, if that is what started it, has ended without ending this process. workerd ends with it.
process.on("disconnect", () => process.exit(1));

const drainSeconds = Number(process.env.ANABRANCH_DRAIN_SECONDS || 30);
if (!(drainSeconds >= 0 && drainSeconds <= 3_600)) {
  process.stderr.write("ANABRANCH_DRAIN_SECONDS is a number of seconds from 0 to 3600\n");
  process.exit(2);
}
const { host, state } = values;
const port = Number(values.port);
if (values.port.trim() === "" || !Number.isInteger(port) || port < 0 || port > 65_535) {
  process.stderr.write(
    `the port (ANABRANCH_PORT or --port) is a whole number from 0 to 65535, not "${values.port}"\n`,
  );
  process.exit(2);
}

function reasonOf({ message, code }: Error & { code?: string }): string {
  if (code === "EADDRINUSE") {
    return `port ${port} of ${host} is taken; set ANABRANCH_PORT to another one, or to 0 for any that is free`;
  }
  // What workerd said stands above.
  return code === "EPIPE" ? "workerd ended at once" : message;
}

const accessLog = process.env.ANABRANCH_ACCESS_LOG !== "off";
const gateway = await serve({ port, host, state, accessLog }).catch((error: Error) => {
  process.stderr.write(`the gateway did not start: ${reasonOf(error)}\n`);
  process.exit(1);
});
process.stdout.write(`${JSON.stringify({ gateway: gateway.url })}\n`);

let closing = false;
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  // Miniflare's own listener ends the process at once.
  process.removeAllListeners(signal);
  process.on(signal, () => {
    // workerd ends with this process.
    if (closing) process.exit(1);
    closing = true;
    void gateway.close(drainSeconds).finally(() => process.exit(0));
  });
}
