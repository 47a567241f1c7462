import { fromMarkdown } from "mdast-util-from-markdown";
import { dependence } from "./dependence.ts";
import { findGroups, type Group } from "./groups.ts";

/**
 * An answer as ordinary text, cut into what was written serially and what could have been written
 * in parallel. Joining every `serial` and every `body` in order gives the text back byte for byte.
 */
export type Part = { serial: string } | { parallel: Branch[] };

export interface Branch {
  title: string;
  body: string;
}

export interface Limits {
  branches: number;
  stages: number;
  /** Characters; the engine's own cap counts tokens. */
  title: number;
  /** Characters a body must have at least. */
  body: number;
}

export const defaultLimits: Limits = { branches: 10, stages: 8, title: 48, body: 10 };

/** Why a group that looked parallel was kept serial. */
export interface Rejection {
  kind: Group["kind"];
  reason: string;
}

export interface Cut {
  parts: Part[];
  rejections: Rejection[];
}

/** Cuts one answer. Never fails: what can't be cut stays serial. */
export function cut(text: string, limits: Limits = defaultLimits): Cut {
  const rejections: Rejection[] = [];
  const accepted: Group[] = [];
  const consider = (groups: readonly Group[]): void => {
    for (const group of groups) {
      const reason = refuse(text, group, accepted, limits);
      if (reason === undefined) accepted.push(group);
      else {
        rejections.push({ kind: group.kind, reason });
        consider(group.inner);
      }
    }
  };
  consider(findGroups(fromMarkdown(text), text));
  return { parts: slice(text, accepted), rejections };
}

export function plainText(parts: readonly Part[]): string {
  return parts
    .map((part) => ("serial" in part ? part.serial : part.parallel.map((b) => b.body).join("")))
    .join("");
}

function refuse(
  text: string,
  group: Group,
  accepted: readonly Group[],
  limits: Limits,
): string | undefined {
  const { items } = group;
  if (items.length < 2) return "fewer than two branches";
  if (items.length > limits.branches) return "too many branches";
  if (accepted.length >= limits.stages) return "too many stages";
  const last = accepted.at(-1);
  // The engine opens no plan directly after a join, so some text must stand between two groups.
  if (last && text.slice(last.end, group.start).trim() === "") return "directly after a join";
  const titles = new Set(items.map((item) => item.title.toLowerCase()));
  if (titles.size < items.length) return "titles are not unique";
  for (const { title, start, end } of items) {
    if (title.length === 0 || title.length > limits.title) return "no short title";
    const body = text.slice(start, end).trim();
    if (body.length < limits.body || body.length <= title.length) return "body too short";
  }
  return dependence(items.map((item) => ({ ...item, text: text.slice(item.start, item.end) })));
}

function slice(text: string, groups: readonly Group[]): Part[] {
  const parts: Part[] = [];
  let at = 0;
  for (const group of groups) {
    if (group.start > at) parts.push({ serial: text.slice(at, group.start) });
    parts.push({
      parallel: group.items.map(({ title, start, end }) => ({
        title,
        body: text.slice(start, end),
      })),
    });
    at = group.end;
  }
  if (at < text.length || parts.length === 0) parts.push({ serial: text.slice(at) });
  return parts;
}
