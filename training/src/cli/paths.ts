// Paths on the command line are relative to the repository root, wherever the command runs.
import { resolve } from "node:path";

const root = resolve(import.meta.dirname, "../../..");

export const fromRoot = (path: string): string => resolve(root, path);
