// npm run models: what a model is and whether it will run here, models of the hub, and quantized copies.
import { failCommand, type Verb } from "@anabranch/shared/cli/command.ts";
import { UsageError } from "@anabranch/shared/cli/options.ts";
import { fetchVerb } from "./models-fetch.ts";
import { quantizeVerb } from "./models-quantize.ts";
import { showVerb } from "./models-show.ts";

/** To add a verb, add its file and one line here. */
const verbs: Record<string, Verb> = {
  show: showVerb,
  fetch: fetchVerb,
  quantize: quantizeVerb,
};

const help = `npm run models -- VERB [options]

${Object.entries(verbs)
  .map(([name, { about }]) => `  ${name.padEnd(8)} ${about}`)
  .join("\n")}

npm run models -- VERB --help lists the options of a verb.
`;

const [name = "", ...args] = process.argv.slice(2);
if (name === "--help") {
  process.stdout.write(help);
} else {
  try {
    const verb = Object.hasOwn(verbs, name) ? verbs[name] : undefined;
    const known = Object.keys(verbs).join(", ");
    if (!verb) {
      throw new UsageError(
        `the first argument is one of ${known}${name && `, not ${name}`}; see --help`,
      );
    }
    await verb.run(args);
  } catch (error) {
    failCommand("models", error);
  }
}
