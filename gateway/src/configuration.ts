// Whether the variables that a gateway runs with are sound. Checked before anything is served.

type Variables = Readonly<Record<string, unknown>>;

const secrets = ["ANABRANCH_KEY_SECRET", "ANABRANCH_ADMIN_TOKEN", "ANABRANCH_POOL_TOKEN"];
const switches = ["ANABRANCH_ACCESS_LOG", "ANABRANCH_LOCAL"];
const numbers = [
  ...["ANABRANCH_CACHE_HOURS", "ANABRANCH_CACHE_MB"],
  ...["ANABRANCH_USAGE_ROW_DAYS", "ANABRANCH_USAGE_DAYS"],
];
const shortestSecret = 16;

/** What is wrong with the configuration, as a sentence that tells no value; null if nothing is. */
export function configurationFault(env: Variables): string | null {
  const text = (name: string) => String(env[name] ?? "");
  for (const name of secrets) {
    if (text(name) === "") return `The secret ${name} is not set.`;
    if (text(name).length < shortestSecret) {
      return `The secret ${name} is shorter than ${shortestSecret} characters.`;
    }
  }
  for (const name of switches) {
    if (!["", "on", "off"].includes(text(name))) return `${name} is "on" or "off".`;
  }
  for (const name of numbers) {
    if (text(name) !== "" && !(Number(text(name)) > 0)) return `${name} is a number above 0.`;
  }
  for (const each of text("ANABRANCH_CORS_ORIGINS").split(",")) {
    const origin = each.trim();
    if (origin !== "" && origin !== "*" && URL.parse(origin)?.origin !== origin) {
      return "ANABRANCH_CORS_ORIGINS has an origin that is none, such as https://app.example.";
    }
  }
  return null;
}
