// What one is about to ask. It outlives a reload.
import { computed } from "@preact/signals";
import { stored } from "../stored.ts";
import type { DeclaredBranch, Question } from "./settings.ts";

export const prompt = stored("anabranch.prompt", "");
/** Rows of declared branches; none: the answer branches as the model has it. */
export const rows = stored<readonly DeclaredBranch[]>("anabranch.rows", []);

export const mostRows = 64;

export const declares = computed(() => rows.value.length > 0);

/** Rows that say something. A row without a title is titled by its question. */
export const branches = computed<DeclaredBranch[]>(() =>
  rows.value
    .filter(({ content }) => content.trim() !== "")
    .map(({ title, content }) => ({
      title: (title.trim() || (content.trim().split("\n")[0] ?? "")).slice(0, 200),
      content: content.trim(),
    })),
);

export const question = computed<Question>(() => ({
  prompt: prompt.value.trim(),
  branches: branches.value,
}));

/** What is missing before it can be asked; null if nothing is. */
export const missing = computed<string | null>(() => {
  if (!declares.value) return prompt.value.trim() === "" ? "Write a question first." : null;
  if (branches.value.length < 2) return "Fill in at least two branches.";
  const titles = new Set(branches.value.map(({ title }) => title));
  if (titles.size < branches.value.length) return "Give each branch a title of its own.";
  return prompt.value.trim() === ""
    ? "Say what all branches share: a text, or how to answer."
    : null;
});

export function setRow(index: number, changes: Partial<DeclaredBranch>): void {
  rows.value = rows.value.map((row, at) => (at === index ? { ...row, ...changes } : row));
}

export function addRows(count: number): void {
  const added = Array.from({ length: count }, () => ({ title: "", content: "" }));
  rows.value = [...rows.value, ...added].slice(0, mostRows);
}

export function removeRow(index: number): void {
  const left = rows.value.filter((_, at) => at !== index);
  rows.value = left.length < 2 ? [] : left;
}

export function clearDraft(): void {
  prompt.value = "";
  rows.value = [];
}
