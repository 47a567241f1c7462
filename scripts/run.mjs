// `npm run <command>` for every command of the project: the set-up it misses, then the command
// under the Node that npm installed. Node 20 built-ins only.
import { spawn } from "node:child_process";
import { delimiter, dirname } from "node:path";
import { commands } from "./commands.mjs";
import { modernNode, packages, python, root, SetupError, servingPackages } from "./setup.mjs";

const [name, ...args] = process.argv.slice(2);
const command = commands[name];
if (!command) {
  process.stderr.write(`unknown command ${name}; one of: ${Object.keys(commands).join(", ")}\n`);
  process.exit(2);
}

const wantsHelp = args.length === 1 && args[0] === "--help";
if (command.about && args.length > 0 && (wantsHelp || !command.takes)) {
  const takes = command.takes ? `It takes ${command.takes}.` : "It has no options.";
  if (wantsHelp) process.stdout.write(`npm run ${name}\n\n${command.about} ${takes}\n`);
  else process.stderr.write(`${name}: it has no options; see --help\n`);
  process.exit(wantsHelp ? 0 : 2);
}

// No help needs the engine, the console or a browser. Python's does need its environment.
const helpOnly = args.includes("--help") && !command.needs.includes(python);

try {
  const neededForHelp = command.needs.includes(packages) ? [packages] : [servingPackages];
  for (const step of helpOnly ? neededForHelp : command.needs) step();
} catch (error) {
  if (!(error instanceof SetupError)) throw error;
  process.stderr.write(`${error.message}\n`);
  process.exit(1);
}

const node = modernNode();
const [file, argv] = command.exec(node, args);
const child = spawn(file, argv, {
  // Relative paths resolve from the repository root.
  cwd: root,
  stdio: "inherit",
  env: { ...process.env, PATH: `${dirname(node)}${delimiter}${process.env.PATH}` },
});
// The child decides how to end; this process only passes the outcome on.
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) {
  process.on(signal, () => {
    if (signal !== "SIGINT") child.kill(signal);
  });
}
child.on("exit", (code, signal) => {
  process.exitCode = code ?? (signal === "SIGINT" ? 130 : 143);
});
