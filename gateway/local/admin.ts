// npm run admin: what an operator does with a gateway, from a terminal, through its admin API.
import { failCommand, readCommandLine } from "@anabranch/shared/cli/command.ts";
import { localGateway } from "@anabranch/shared/cli/local-gateway.ts";
import { UsageError } from "@anabranch/shared/cli/options.ts";
import { AdminApi } from "./admin/admin-api.ts";
import { keyVerbs, operatorVerbs, tenantVerbs } from "./admin/keys.ts";
import { poolVerbs, upstreamVerbs } from "./admin/pool.ts";
import { priceVerbs, usageVerbs } from "./admin/usage.ts";
import { type AdminVerb, checkCommand, options, type Values } from "./admin/verb.ts";

const help = `npm run admin -- COMMAND [options]

  keys list [--tenant T]             all keys, or a tenant's
  keys create --tenant T [settings]  makes a key; it is shown this once
  keys show ID
  keys change ID [settings]
  keys rotate ID [--overlap SECONDS] makes a key with the same settings; the old one works for SECONDS more (default
                                     3600)
  keys revoke ID                     within two seconds everywhere
  tenants list
  tenants show T                     its weight and limits, and what it has spent this month
  tenants change T [limits]          limits of all its keys together
                                     --weight N: its part of a full worker, beside that of others (1 to 100)
  audit [--tenant T] [--csv]         what was changed, the newest first
  usage [--by A,B] [--tenant T]      what was used in the last --days days (default 30), by hour or day, tenant, key,
                                     model, endpoint, mode, status, cache, worker; --csv for a table. Its hours and days
                                     are this machine's; those of --csv and --json UTC's, in seconds since the epoch
  prices list                        what models cost: past, present and future prices
  prices set MODEL --currency USD --prompt P --visible V [--cached C] [--from DATE]
                                     for a million tokens of prompts, of those the cached ones (default: P), and of
                                     what clients see; from DATE (default: now) on
  prices delete MODEL                it costs nothing from now on
  operators list                     credentials of the admin API, beside the one of the environment
  operators create --name N          makes one; it is shown this once. --scopes read: it changes nothing; --expires DATE
  operators revoke ID                at once
  pool                               the workers, and how busy they are
  pool drain ID                      gives a worker no new requests until it is started again
  upstreams list                     servers with OpenAI's API that belong to the pool
  upstreams add ID URL               adds one; URL is what an OpenAI SDK takes, such as http://10.0.0.5:8000/v1. Its
                                     credential, if it needs one, is taken from ANABRANCH_UPSTREAM_CREDENTIAL
                                     --models A,B=NAME: the models to serve, B under the server's name NAME
                                     --max-requests N: at once; --max-tokens N: for requests that name none
                                     --without tools,response_format: what the server does not have
  upstreams change ID [options]      those options and --url URL, which needs the credential again; what is absent stays
  upstreams remove ID
  cache purge [--tenant T] [--models A,B]
                                     forgets cached answers: a tenant's, those of models, or all

Settings; "none" takes a limit, an expiry or a list away:
  --name NAME
  --rpm N, --tpm N                   requests and tokens per minute
  --concurrent N, --monthly N        requests at once, tokens per calendar month
  --monthly-cost AMOUNT              money per calendar month, in the currency of the prices
  --scopes A,B                       inference, usage
  --models A,B                       the models that the key may use
  --expires DATE                     such as 2027-01-31 (its beginning in UTC) or 2027-01-31T12:00:00+01:00
  --priority=N                       -1000 to 1000: where requests wait, those of a higher one go first

  --gateway URL                      (default ANABRANCH_GATEWAY, or http://127.0.0.1:8787, or the port in ANABRANCH_PORT)
  --json                             print one JSON value to stdout

The operator's credential is ANABRANCH_ADMIN_TOKEN, or for a gateway on this machine what npm start has made
(secrets.json in .anabranch, or in the folder that ANABRANCH_STATE names).
`;

/** By their names, of one word or two. */
const verbs: Record<string, AdminVerb> = {
  ...{ ...keyVerbs, ...tenantVerbs, ...operatorVerbs },
  ...{ ...usageVerbs, ...priceVerbs },
  ...{ ...poolVerbs, ...upstreamVerbs },
};

/** The verb that the first arguments name, and the others. Throws UsageError if there is none. */
function verbOf(args: readonly string[]): { name: string; verb: AdminVerb; rest: string[] } {
  for (const words of [2, 1]) {
    const name = args.slice(0, words).join(" ");
    const verb = Object.hasOwn(verbs, name) ? verbs[name] : undefined;
    if (verb) return { name, verb, rest: args.slice(words) };
  }
  const of = Object.keys(verbs).filter((name) => name.startsWith(`${args[0]} `));
  const known =
    of.length > 0 ? of : [...new Set(Object.keys(verbs).map((name) => name.split(" ")[0]))];
  throw new UsageError(`say what to do: ${known.join(", ")}; see --help`);
}

try {
  const line = readCommandLine({ name: "admin", help, options, positionals: true });
  const values = line.values as Values;
  const { name, verb, rest: args } = verbOf(line.positionals);
  checkCommand(name, verb, args, values);
  const api = new AdminApi(values.gateway ?? (process.env.ANABRANCH_GATEWAY || localGateway()));
  const { json, text } = await verb.run({ values, args, api });
  process.stdout.write(values.json ? `${JSON.stringify(json)}\n` : text);
} catch (error) {
  failCommand("admin", error);
}
