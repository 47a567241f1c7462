// `anabranch.branches` of a chat: turns of the user that are answered side by side after the same messages.
import { z } from "@hono/zod-openapi";
import { badField } from "../api-error.ts";
import { list } from "../http/list.ts";
import { type Constraint, formatConstraint, responseFormat } from "./constraint.ts";
import { content, textOf } from "./message-content.ts";
import type { Settings } from "./parameters.ts";

const least = 2;
const most = 64;

const branch = z.strictObject({
  title: z
    .string()
    .max(200, "at most 200 characters")
    .regex(/[^\s\p{Cf}]/u, "a title is not blank")
    .regex(/^[^\p{Cc}\p{Cs}\p{Zl}\p{Zp}]*$/u, "a title is one line, without control characters"),
  content,
  response_format: responseFormat.openapi({
    description: "Absent: the request's; of type `text`: none, whatever the request's is",
  }),
});

export const declaredBranches = list(branch, most)
  .min(least, `at least ${least} branches are needed; one question is a message`)
  .nullish()
  .openapi({
    description:
      "User turns after `messages`. All are answered side by side, each as a request of its own would be; the answer has each under its title",
  });

/** A branch, with its content as one text. */
export interface DeclaredBranch {
  title: string;
  content: string;
  /** What its answer may say; undefined: what `sharedConstraint` says. */
  constraint: Constraint | undefined;
}

type Declared = z.output<typeof declaredBranches>;

/** Whether a branch is free of the request's form. Each other branch then has that form by itself. */
const lifts = (declared: Declared): boolean =>
  declared?.some(({ response_format: format }) => format?.type === "text") ?? false;

/** The form that holds for all branches, or for an answer without branches; undefined if there is none. */
export const sharedConstraint = (
  declared: Declared,
  { constraint }: Settings,
): Constraint | undefined => (lifts(declared) ? undefined : constraint);

/** The branches that a request declares; none if it does not. Throws what can't go with them. */
export function branchesOf(
  declared: Declared,
  { n, mode, maxBranches, minTokens, constraint }: Settings,
): DeclaredBranch[] {
  if (!declared) return [];
  const refuse = (field: string, why: string) => {
    throw badField(field, `'${field}' can't be used with 'anabranch.branches': ${why}.`);
  };
  if (n > 1) refuse("n", "each branch has one answer");
  if (mode === "parallel") refuse("anabranch.mode", "a declared branch does not branch again");
  if (minTokens > 0) refuse("min_tokens", "each branch ends where its answer does");
  if (maxBranches > 0) refuse("anabranch.max_branches", "all of them are answered");
  const titles = new Set<string>();
  for (const [index, { title: given }] of declared.entries()) {
    const title = given.trim();
    if (titles.has(title)) {
      const field = `anabranch.branches[${index}].title`;
      throw badField(field, `'${field}': two branches have the title "${title}".`);
    }
    titles.add(title);
  }
  const own = lifts(declared) ? constraint : undefined;
  return declared.map((each) => ({
    title: each.title,
    content: textOf(each.content),
    constraint: each.response_format ? formatConstraint(each.response_format) : own,
  }));
}
