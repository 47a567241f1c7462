// `format` of strings, as regular expressions: stricter than the standards where those are loose.

const hour = "([01]\\d|2[0-3])";
const time = `${hour}:[0-5]\\d:[0-5]\\d(\\.\\d{1,6})?(Z|[+-]${hour}:[0-5]\\d)`;
// Days of months, and 29 February in years that divide by four and are no whole century.
const leapYear = "\\d\\d(0[48]|[2468][048]|[13579][26])";
const date = `(\\d{4}-((0[13578]|1[02])-(0[1-9]|[12]\\d|3[01])|(0[469]|11)-(0[1-9]|[12]\\d|30)|02-(0[1-9]|1\\d|2[0-8]))|${leapYear}-02-29)`;
const label = "[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?";
const hostname = `${label}(\\.${label}){0,4}`;
const byte = "(25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)";
const address = `${byte}(\\.${byte}){3}`;
const pathCharacters = "[A-Za-z0-9._~!$&'()*+,;=:@-]";
const uri = `https?:\\/\\/${hostname}(:[1-9]\\d{1,3})?(\\/${pathCharacters}*)*(\\?[A-Za-z0-9._~=&-]*)?(#[A-Za-z0-9._~-]*)?`;
const count = "(0|[1-9]\\d{0,5})";

export const formats: ReadonlyMap<string, string> = new Map([
  ["date", date],
  ["time", time],
  ["date-time", `${date}T${time}`],
  [
    "duration",
    `P(${count}W|${count}D(T${count}H(${count}M)?(${count}S)?)?|T(${count}H(${count}M(${count}S)?)?|${count}M(${count}S)?|${count}S))`,
  ],
  ["email", `[A-Za-z0-9_+-]{1,30}(\\.[A-Za-z0-9_+-]{1,30}){0,3}@${label}(\\.${label}){1,3}`],
  ["hostname", hostname],
  ["ipv4", address],
  ["ipv6", "([0-9a-f]{1,4}:){7}[0-9a-f]{1,4}"],
  ["uuid", "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"],
  ["uri", uri],
]);

/** Formats that only name the type of a number. */
export const numberFormats: ReadonlySet<string> = new Set(["int32", "int64", "float", "double"]);
