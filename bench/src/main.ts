// npm run bench -- SUBJECT: every performance figure that the project claims, as a command.
import { failCommand } from "@anabranch/shared/cli/command.ts";
import { UsageError } from "@anabranch/shared/cli/options.ts";
import type { Subject } from "./subject.ts";

interface Entry {
  about: string;
  load: () => Promise<{ subject: Subject }>;
}

/** To add a subject, add its file and one line here. */
const subjects: Record<string, Entry> = {
  declared: {
    about: "many questions about one text, in one request and in separate ones",
    load: () => import("./declared.ts"),
  },
  forms: {
    about: "whether answers hold to real JSON schemas, and what that costs a step",
    load: () => import("./forms.ts"),
  },
  faults: {
    about: "what streams notice of kills, cuts, stalls and lies in the pool",
    load: () => import("./faults.ts"),
  },
  frames: {
    about: "whether the playground's frames keep up with a fast and long answer",
    load: () => import("./frames.ts"),
  },
  gateway: {
    about: "what a gateway costs its clients, ours and others",
    load: () => import("./gateway.ts"),
  },
  engine: { about: "decode and prefill speed of the engine", load: () => import("./engine.ts") },
  load: { about: "latency seen by clients of a busy engine", load: () => import("./load.ts") },
  memory: { about: "what serving a model takes of memory", load: () => import("./memory.ts") },
  newcomer: {
    about: "from a bare clone to an answer that branches in the browser",
    load: () => import("./newcomer.ts"),
  },
  perplexity: {
    about: "how well a model predicts text, by type of weights",
    load: () => import("./perplexity.ts"),
  },
  replay: { about: "speed-up from branching on real answers", load: () => import("./replay.ts") },
  routing: {
    about: "the router's choices in a large pool, in simulated time",
    load: () => import("./routing.ts"),
  },
  storm: {
    about: "what the gateway holds when everything happens at once",
    load: () => import("./storm.ts"),
  },
  tools: {
    about: "a model's calls of tools, and objects of a schema: valid, and fitting",
    load: () => import("./tools.ts"),
  },
  usage: {
    about: "reports over the usage of many requests",
    load: () => import("./usage.ts"),
  },
  soak: { about: "correctness under too little KV and aborts", load: () => import("./soak.ts") },
};

const help = `npm run bench -- SUBJECT [options]

${Object.entries(subjects)
  .map(([name, { about }]) => `  ${name.padEnd(10)} ${about}`)
  .join("\n")}

npm run bench -- SUBJECT --help lists the options of a subject.
`;

const [name = "--help", ...args] = process.argv.slice(2);
if (name === "--help") {
  process.stdout.write(help);
} else {
  try {
    const entry = Object.hasOwn(subjects, name) ? subjects[name] : undefined;
    if (!entry) {
      const known = Object.keys(subjects).join(", ");
      throw new UsageError(
        `the first argument names the subject, one of ${known}, not ${name}; see --help`,
      );
    }
    const { subject } = await entry.load();
    await subject.run(args);
  } catch (error) {
    failCommand("bench", error);
  }
}
