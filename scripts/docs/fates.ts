// What a test does with each block of the documents. The first entry that fits a block decides; a block that none fits
// fails docs.test.ts, and so does an entry that fits none.
import type { Block } from "./blocks.ts";

export type Fate =
  /** A program, run as it stands against the demo: programs.test.ts. */
  | "program"
  /** Commands of a shell, run as they stand against the demo: programs.test.ts. */
  | "request"
  /** Commands of a shell, run in the order of the page against `npm start`: operator.test.ts. */
  | "operator"
  /** Not run. Each command of ours exists and knows the options, what is named is there: docs.test.ts. */
  | "checked"
  /** Nothing that one could run. */
  | "figure";

export interface Entry {
  file: string | RegExp;
  /** What the block's text fits; absent: any. */
  text?: RegExp;
  fate: Fate;
  /** For what is not run. */
  why?: string;
}

const measurement = "a measurement: takes minutes, or files that are not in the repository";

export const entries: readonly Entry[] = [
  { file: "README.md", text: /^flowchart/, fate: "figure", why: "a drawing" },
  { file: "README.md", text: /^curl/, fate: "request" },
  {
    ...{ file: "README.md", text: /^npm start/, fate: "checked" },
    why: "start.test.ts starts it; npm test is what runs this",
  },
  { file: "README.md", text: /models -- show hf:/, fate: "checked", why: "asks the hub" },
  { file: "CONTRIBUTING.md", fate: "checked", why: "runs every test and check" },
  {
    ...{ file: "client/README.md", fate: "checked" },
    why: "the first program of docs/client.md, shorter: it takes a key and a function of the reader's",
  },
  { file: "docs/api.md", text: /^lm_eval/, fate: "checked", why: "a program of others" },
  {
    file: "docs/client.md",
    text: /^npm run client/,
    fate: "checked",
    why: "package.test.ts packs it",
  },
  { file: "docs/client.md", text: /^npm run chat/, fate: "checked", why: "chat.test.ts runs each" },
  { file: /^docs\/(client|api|protocol|structured)\.md$/, text: /\bawait\b/, fate: "program" },
  { file: "docs/client.md", text: /^import os/, fate: "program" },
  { file: "docs/protocol.md", text: /"branches": \[/, fate: "request" },
  {
    ...{ file: "docs/protocol.md", text: /^\{/, fate: "checked" },
    why: "a message and an answer: they are JSON, e2e tests have the same fields",
  },
  { file: "docs/console.md", fate: "figure", why: "what npm start prints" },
  { file: "docs/design.md", fate: "figure", why: "a list of folders" },
  { file: "docs/evaluate.md", fate: "checked", why: measurement },
  { file: "docs/models.md", text: /models -- (show|quantize)/, fate: "operator" },
  { file: "docs/models.md", text: /fetch hf:|OTHER=hf:/, fate: "checked", why: "asks the hub" },
  { file: "docs/models.md", text: /bench -- perplexity/, fate: "checked", why: measurement },
  {
    ...{ file: "docs/operations.md", text: /^cloudflared|\ncloudflared/, fate: "checked" },
    why: "a tunnel to outside",
  },
  {
    ...{
      file: "docs/operations.md",
      text: /^# on the first machine|^llama-server|--without/,
      fate: "checked",
    },
    why: "servers of others, on machines of theirs",
  },
  {
    ...{ file: "docs/operations.md", text: /data -- outline/, fate: "checked" },
    why: "many answers of a model that lists; data.test.ts runs both",
  },
  {
    file: "docs/operations.md",
    text: /wrangler/,
    fate: "checked",
    why: "an account at Cloudflare",
  },
  {
    file: "docs/operations.md",
    text: /^npm run sbom/,
    fate: "checked",
    why: "deploy.test.ts runs it",
  },
  {
    ...{ file: "docs/operations.md", text: /ANOTHER-MACHINE/, fate: "checked" },
    why: "another machine",
  },
  {
    file: "docs/operations.md",
    text: /^npm run dialect/,
    fate: "checked",
    why: "a published checkpoint",
  },
  {
    ...{ file: "docs/operations.md", text: /^npm run classifier/, fate: "checked" },
    why: "writes a file of the repository; its tests fit it again",
  },
  {
    ...{ file: "docs/operations.md", text: /^npm run evaluate/, fate: "checked" },
    why: "answers of a model take minutes",
  },
  { file: "docs/operations.md", fate: "operator" },
  { file: "docs/structured.md", text: /^pip/, fate: "checked", why: "downloads schemas of others" },
  { file: "docs/training.md", text: /──►/, fate: "figure", why: "a drawing" },
  {
    ...{ file: "docs/training.md", fate: "checked" },
    why: "training takes hours, and the answers of a model",
  },
  { file: "docs/measurements/usage.md", text: /^SEARCH/, fate: "figure", why: "plans of queries" },
  { file: /^docs\/measurements\/gpu/, fate: "checked", why: "a GPU" },
  { file: /^docs\/measurements\//, fate: "checked", why: measurement },
];

const fits = (block: Block, { file, text }: Entry): boolean =>
  (typeof file === "string" ? file === block.file : file.test(block.file)) &&
  (text?.test(block.text) ?? true);

/** @throws Error that says what to do for a block that nobody has decided about */
export function entryOf(block: Block): Entry {
  const entry = entries.find((each) => fits(block, each));
  if (entry) return entry;
  throw new Error(
    `${block.file}:${block.line} is in no entry of scripts/docs/fates.ts: decide what a test does with it`,
  );
}
