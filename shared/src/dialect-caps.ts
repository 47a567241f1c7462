// The caps of a dialect, and their defaults: those of the default dialect.
import aspd from "../dialects/aspd.json" with { type: "json" };

/** As a dialect file has them. */
export interface DialectCaps {
  /** Branches per stage. */
  branches: number;
  min_branches: number;
  title_tokens: number;
  /** Of one branch, its opening and end included. */
  branch_tokens: number;
  /** Stages per answer. */
  stages: number;
  /** An answer that may have fewer tokens yet opens no plan. */
  min_room: number;
  /** Tokens that `max_tokens` must leave for the text of each branch of a plan. */
  branch_room: number;
}

export const defaultCaps: DialectCaps = aspd.caps;
