// npm run bench -- SUBJECT: every performance figure that the project claims, as a command.
import type { Subject } from "./subject.ts";

interface Entry {
  about: string;
  load: () => Promise<{ subject: Subject }>;
}

/** To add a subject, add its file and one line here. */
const subjects: Record<string, Entry> = {
  engine: { about: "decode and prefill speed of the engine", load: () => import("./engine.ts") },
  load: { about: "latency seen by clients of a busy engine", load: () => import("./load.ts") },
  quality: { about: "accuracy and speed of a branching model", load: () => import("./quality.ts") },
  replay: { about: "speed-up from branching on real answers", load: () => import("./replay.ts") },
  soak: { about: "correctness under too little KV and aborts", load: () => import("./soak.ts") },
};

const help = `npm run bench -- SUBJECT [options]

${Object.entries(subjects)
  .map(([name, { about }]) => `  ${name.padEnd(10)} ${about}`)
  .join("\n")}

npm run bench -- SUBJECT --help lists the options of a subject.
`;

const [name = "--help", ...args] = process.argv.slice(2);
const entry = Object.hasOwn(subjects, name) ? subjects[name] : undefined;
if (entry) {
  try {
    const { subject } = await entry.load();
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
