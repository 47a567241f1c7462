// Lints the gateway's OpenAPI document, as `npm run check` does.
import { createApp } from "@anabranch/gateway/app.ts";
import { createConfig, lintFromString } from "@redocly/openapi-core";

const response = await createApp().request("/openapi.json", {}, { ANABRANCH_ACCESS_LOG: "off" });
const config = await createConfig({
  extends: ["recommended-strict"],
  rules: {
    // The document is served by the gateway that it describes, wherever that is.
    "no-empty-servers": "off",
    "no-server-example.com": "off",
  },
});
const problems = await lintFromString({
  source: await response.text(),
  absoluteRef: "openapi.json",
  config,
});
for (const { ruleId, message, location, severity } of problems) {
  process.stderr.write(`${severity} ${ruleId}: ${message} at ${location[0]?.pointer}\n`);
}
process.exit(problems.length > 0 ? 1 : 0);
