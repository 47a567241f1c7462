// npm run bench -- <subject>: every number we claim, as a command.
import { benchEngine } from "./engine.ts";
import { benchLoad } from "./load.ts";
import { benchQuality } from "./quality.ts";
import { benchReplay } from "./replay.ts";
import { benchSoak } from "./soak.ts";

/** Each takes its own arguments and answers `--help`. */
const subjects: Record<string, { about: string; run: (args: string[]) => Promise<void> }> = {
  engine: { about: "decoding and prefill speed of the native engine", run: benchEngine },
  load: { about: "what clients of a busy engine wait for", run: benchLoad },
  quality: { about: "what a branching model answers, and where it branches", run: benchQuality },
  replay: {
    about: "what branching saves on ordinary answers of other models",
    run: benchReplay,
  },
  soak: { about: "mixed requests under too little KV, each answer as it is alone", run: benchSoak },
};

const help = `npm run bench -- SUBJECT [options]

${Object.entries(subjects)
  .map(([name, { about }]) => `  ${name.padEnd(10)} ${about}`)
  .join("\n")}

npm run bench -- SUBJECT --help tells its options.
`;

const [name = "--help", ...args] = process.argv.slice(2);
const subject = Object.hasOwn(subjects, name) ? subjects[name] : undefined;
if (subject) {
  try {
    await subject.run(args);
  } catch (error) {
    process.stderr.write(`bench: ${error instanceof Error ? error.message : String(error)}\n`);
    process.exitCode = 1;
  }
} else if (name === "--help") {
  process.stdout.write(help);
} else {
  process.stderr.write(`bench: unknown subject ${name}\n\n${help}`);
  process.exitCode = 2;
}
