// npm run models -- fetch: brings a model of the hub into the cache.
import { readCommandLine, type Verb } from "@anabranch/shared/cli/command.ts";
import { UsageError } from "@anabranch/shared/cli/options.ts";
import { fetchModel } from "../hub/fetch-model.ts";
import { HUB_PREFIX, parseHubReference } from "../hub/reference.ts";

const help = `npm run models -- fetch hf:OWNER/NAME[@REVISION][:FILE.gguf] [--json]

Brings a model of the Hugging Face Hub into the cache that Hugging Face's own tools share, and prints where
it is. Only the files that serve it are fetched; those that are there already are not fetched again, and a
download that broke off goes on where it was. With hf:… in place of a path, every other command does the same.

  --json   one JSON value on stdout: model, path, format, commit, files

Environment:
  HF_TOKEN         for private and gated models (https://huggingface.co/settings/tokens)
  HF_HUB_CACHE     the cache's folder (default HF_HOME/hub, and that in ~/.cache/huggingface/hub)
  HF_HUB_OFFLINE   1: only what is in the cache
  HF_ENDPOINT      another hub (default https://huggingface.co)
`;

export const fetchVerb: Verb = {
  about: "brings a model of the Hugging Face Hub into the cache",
  async run(args) {
    const { values, positionals } = readCommandLine(
      { name: "models fetch", help, options: { json: { type: "boolean" } }, positionals: true },
      args,
    );
    const [model, ...more] = positionals;
    if (!model?.startsWith(HUB_PREFIX) || more.length > 0) {
      throw new UsageError("fetch takes one model as hf:OWNER/NAME; see --help");
    }
    const fetched = await fetchModel(parseHubReference(model));
    const json = JSON.stringify({ model, ...fetched });
    process.stdout.write(`${values.json ? json : fetched.path}\n`);
  },
};
