// Code made from other files of the repository: protobuf types, D1 migrations, the types of the API.
import { spawnSync } from "node:child_process";
import { delimiter, join } from "node:path";
import { root } from "./setup.mjs";

const bin = join(root, "node_modules", ".bin");
const steps = [
  ["shared", "buf", ["lint"]],
  ["shared", "buf", ["generate"]],
  ["gateway", "drizzle-kit", ["generate"]],
  ["console", "node", ["scripts/write-api-types.mjs"]],
];
for (const [folder, command, args] of steps) {
  process.stderr.write(`· ${folder}: ${command} ${args.join(" ")}\n`);
  const { status } = spawnSync(join(bin, command), args, {
    cwd: join(root, folder),
    stdio: ["ignore", 2, 2],
    env: { ...process.env, PATH: `${bin}${delimiter}${process.env.PATH}` },
  });
  if (status !== 0) process.exit(status ?? 1);
}
