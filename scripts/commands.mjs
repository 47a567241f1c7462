// The commands of `npm run`: what each needs before it can run, and what it executes. Node 20 built-ins only.
import { join } from "node:path";
import {
  browser,
  consoleFiles,
  native,
  nativeChecks,
  packages,
  python,
  root,
  servingPackages,
  venvPython,
} from "./setup.mjs";

const bin = (name) => join(root, "node_modules", ".bin", name);
const script = (path) => (node, args) => [node, [join(root, path), ...args]];

/** Data preparation needs the engine only for likelihoods and for what outlines are fitted on. */
const usesEngine = process.argv.includes("--likelihood") || process.argv[3] === "outline";

/** name → what it needs, and what to execute. One without options of its own says here what it does. */
export const commands = {
  start: { needs: [native, consoleFiles], exec: script("scripts/start.mjs") },
  admin: { needs: [servingPackages], exec: script("gateway/local/admin.ts") },
  worker: { needs: [native], exec: script("gpu-worker/src/main.ts") },
  models: { needs: [native], exec: script("gpu-worker/src/cli/models.ts") },
  dialect: { needs: [packages], exec: script("gpu-worker/src/cli/write-dialect.ts") },
  score: { needs: [packages, native], exec: script("gpu-worker/src/cli/score.ts") },
  bench: { needs: [packages, native, consoleFiles], exec: script("bench/src/main.ts") },
  evaluate: { needs: [packages, native, consoleFiles], exec: script("bench/src/evaluate/main.ts") },
  data: {
    needs: [packages, ...(usesEngine ? [native] : [])],
    exec: script("training/src/cli/data.ts"),
  },
  classifier: { needs: [packages], exec: script("training/src/cli/classifier.ts") },
  generate: {
    about: "Writes the code that is made from other files: protobuf and API types, D1 migrations.",
    ...{ needs: [packages], exec: script("scripts/generate.mjs") },
  },
  check: {
    about: "Checks format, lint, import walls, words and types, as before each commit.",
    ...{ needs: [packages], exec: script("scripts/check.mjs") },
  },
  picture: { needs: [packages, native, consoleFiles], exec: script("scripts/picture.ts") },
  sbom: { needs: [packages], exec: script("scripts/sbom.mjs") },
  fuzz: { needs: [packages], exec: script("scripts/fuzz.mjs") },
  sanitize: { needs: [packages], exec: script("scripts/sanitize.mjs") },
  "gpu-bundle": {
    needs: [packages],
    exec: (_, args) => [join(root, "scripts/gpu-bundle"), args],
  },
  "kernel-report": { needs: [packages], exec: script("scripts/kernel-report.mjs") },
  chat: { needs: [packages], exec: script("client/chat/main.ts") },
  client: {
    about: "Builds the client library into client/dist, as npm would publish it.",
    ...{ needs: [packages], exec: script("client/scripts/build.ts") },
  },
  console: {
    about:
      "Builds the console into console/dist, as start and test do by themselves; before `wrangler deploy`.",
    ...{ needs: [consoleFiles], exec: (node) => [node, ["--print", "'built into console/dist'"]] },
  },
  build: {
    about:
      "Builds the engine, the console and the gateway, as start does by itself: images and units run them as they are.",
    ...{ needs: [native, consoleFiles], exec: script("gateway/local/build.ts") },
  },
  test: {
    needs: [packages, nativeChecks, consoleFiles, browser],
    exec: (node, args) => [node, [bin("vitest"), "run", ...args]],
  },
  "test:training": {
    about: "Tests the Python package, in an environment that it makes in .anabranch/venv (1.2 GB).",
    takes: "names of tests, as Python's unittest takes them",
    needs: [packages, native, python],
    exec: (_, args) => [venvPython, [join(root, "training/python/tests"), ...args]],
  },
  format: {
    about: "Formats TypeScript, C++, CUDA and Python in place.",
    ...{ needs: [packages], exec: script("scripts/format.mjs") },
  },
};
