// How a model's answers branch: its aspd.json, as far as whoever reads or writes its tokens needs it.
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";

export interface Dialect {
  titleOpen: number;
  titleClose: number;
  fork: number;
  branchClose: number;
  /** Forced into a branch before its title, and after it. */
  openingBefore: number[];
  openingAfter: number[];
  /** Forced into the trunk when a stage closes. */
  join: number[];
  serialVisible: boolean;
  bodyVisible: boolean;
  // Caps:
  branches: number;
  titleTokens: number;
  branchTokens: number; // opening and end included
  stages: number;
}

interface Marker {
  ids: number[];
}
interface DialectFile {
  title_open: Marker;
  title_close: Marker;
  fork: Marker;
  opening: (Marker | "title")[];
  branch_close: Marker;
  join: Marker;
  visible?: ("serial" | "body")[];
  caps?: { branches?: number; title_tokens?: number; branch_tokens?: number; stages?: number };
}

/** Nothing where the model does not branch. The engine has checked the file, or will refuse it. */
export function readDialect(folder: string): Dialect | undefined {
  const path = join(folder, "aspd.json");
  if (!existsSync(path)) return undefined;
  const file = JSON.parse(readFileSync(path, "utf8")) as DialectFile;
  const one = ({ ids }: Marker): number => ids[0] ?? -1;
  const title = file.opening.indexOf("title");
  const ids = (pieces: DialectFile["opening"]) =>
    pieces.flatMap((piece) => (piece === "title" ? [] : piece.ids));
  return {
    titleOpen: one(file.title_open),
    titleClose: one(file.title_close),
    fork: one(file.fork),
    branchClose: one(file.branch_close),
    openingBefore: ids(file.opening.slice(0, title)),
    openingAfter: ids(file.opening.slice(title)),
    join: file.join.ids,
    serialVisible: file.visible?.includes("serial") ?? true,
    bodyVisible: file.visible?.includes("body") ?? true,
    branches: file.caps?.branches ?? 10,
    titleTokens: file.caps?.title_tokens ?? 16,
    branchTokens: file.caps?.branch_tokens ?? 512,
    stages: file.caps?.stages ?? 8,
  };
}
