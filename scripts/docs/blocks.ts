// Every block of code in the documents: fenced ones, and those that are indented by four spaces.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "../setup.mjs";

export interface Block {
  /** Relative to the repository. */
  file: string;
  /** Of its first line of text, from 1. */
  line: number;
  /** The heading above it. */
  heading: string;
  /** What the fence says; empty for an indented block. */
  language: string;
  /** Without fence and indentation. */
  text: string;
}

const markdown = (folder: string): string[] =>
  readdirSync(join(root, folder))
    .filter((name) => name.endsWith(".md"))
    .sort()
    .map((name) => `${folder}/${name}`);

export const documents = [
  ...["README.md", "CONTRIBUTING.md", "client/README.md"],
  ...markdown("docs"),
  ...markdown("docs/measurements"),
];

const fence = /^```(\w*)\s*$/;
const indented = /^ {4}\S/;

export function blocksOf(file: string, text = readFileSync(join(root, file), "utf8")): Block[] {
  const lines = text.split("\n");
  const blocks: Block[] = [];
  let heading = "";
  for (let i = 0; i < lines.length; i++) {
    const line = lines[i] ?? "";
    heading = /^#+ (.+)$/.exec(line)?.[1] ?? heading;
    const language = fence.exec(line)?.[1];
    let end = i;
    if (language !== undefined) {
      end = lines.findIndex((each, at) => at > i && /^```\s*$/.test(each));
      if (end < 0) throw new Error(`${file}:${i + 1}: the block has no end`);
      const body = lines.slice(i + 1, end).join("\n");
      blocks.push({ file, line: i + 2, heading, language, text: `${body}\n` });
    } else if (indented.test(line) && lines[i - 1] === "") {
      while (/^ {4}/.test(lines[end + 1] ?? "")) end++;
      const body = lines.slice(i, end + 1).map((each) => each.slice(4));
      blocks.push({ file, line: i + 1, heading, language: "", text: `${body.join("\n")}\n` });
    }
    i = end;
  }
  return blocks;
}

export const allBlocks = (): Block[] => documents.flatMap((file) => blocksOf(file));

/** Where it stands, as an editor opens it. */
export const placeOf = ({ file, line }: Block): string => `${file}:${line}`;
