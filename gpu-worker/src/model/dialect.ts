// How a model's answers branch: the parts of its aspd.json that are needed to write its tokens.
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { type DialectCaps, defaultCaps } from "@anabranch/shared/dialect-caps.ts";

/** A run of ids, a branch's title, or its number in the plan. */
type Part = { ids: number[] } | "title" | "index";
type Markup = Part | Part[];

/** The fields of aspd.json that are read here. */
interface DialectFile {
  name: string;
  plan_open?: Markup;
  title_open: Markup;
  title_close: Markup;
  fork: Markup;
  opening: Markup;
  branch_close: Markup;
  join: Markup;
  tail_close?: Markup;
  index?: { ids: number[] }[];
  visible?: ("serial" | "opening" | "body" | "branch_close" | "tail")[];
  caps?: Partial<DialectCaps>;
  serial?: "adapter" | "base";
}

export interface Caps {
  branches: number;
  titleTokens: number;
  /** Opening and end included. */
  branchTokens: number;
  stages: number;
  /** An answer that may have fewer tokens can't branch. */
  minRoom: number;
}

export class Dialect {
  readonly name: string;
  readonly caps: Caps;
  /** The ids that open a plan. */
  readonly opener: readonly number[];
  /** The ids after a branch's body, and those with which the trunk resumes. */
  readonly branchClose: readonly number[];
  readonly join: readonly number[];
  /** The common beginning of all titles in a plan, and their end. */
  readonly titles: { open: readonly number[]; close: readonly number[] };
  /** Parts hold the whole answer: the dialect hides nothing but what it forces. */
  readonly isFullyVisible: boolean;
  /** A branch's text begins with its title. */
  readonly showsOpening: boolean;
  /** Of an adapter: answers that can't branch are written without it. */
  readonly serialFromBase: boolean;
  /** All ids of its markers. */
  readonly markers: ReadonlySet<number>;
  readonly #file: DialectFile;

  constructor(file: DialectFile, caps: Partial<Caps> = {}) {
    this.#file = file;
    this.name = file.name;
    const read = { ...defaultCaps, ...file.caps };
    this.caps = {
      branches: read.branches,
      titleTokens: read.title_tokens,
      branchTokens: read.branch_tokens,
      stages: read.stages,
      minRoom: read.min_room,
      ...caps,
    };
    const [opener = "title"] = [file.plan_open ?? file.title_open].flat();
    this.opener = typeof opener === "string" ? [] : opener.ids;
    this.branchClose = this.#ids(file.branch_close);
    this.join = this.#ids(file.join);
    const begin = [file.title_open].flat();
    const same = begin.includes("index") ? begin.slice(0, begin.indexOf("index")) : begin;
    this.titles = { open: this.#ids(same), close: this.#ids(file.title_close) };
    const { visible = ["serial", "body"], tail_close } = file;
    this.isFullyVisible =
      tail_close === undefined && visible.includes("serial") && visible.includes("body");
    this.showsOpening = visible.includes("opening");
    this.serialFromBase = file.serial === "base";
    const {
      plan_open: plan = [],
      title_open: open,
      title_close: close,
      tail_close: tail = [],
    } = file;
    this.markers = new Set(
      [plan, open, close, file.fork, file.opening, file.branch_close, file.join, tail].flatMap(
        (markup) => this.#ids(markup),
      ),
    );
  }

  /** The same dialect with other caps. */
  within(caps: Partial<Caps>): Dialect {
    return new Dialect(this.#file, { ...this.caps, ...caps });
  }

  /** A plan of these titles, from its opener through the fork trigger. */
  plan(titles: readonly (readonly number[])[]): number[] {
    const { plan_open = [], title_open, title_close, fork } = this.#file;
    return [
      ...this.#ids(plan_open),
      ...titles.flatMap((title, i) => [
        ...[...this.#ids(title_open, [], i + 1), ...title],
        ...this.#ids(title_close),
      ]),
      ...this.#ids(fork),
    ];
  }

  /** The forced beginning of the branch for title `number`, counted from 1. */
  opening(title: readonly number[], number: number): number[] {
    return this.#ids(this.#file.opening, title, number);
  }

  #ids(markup: Markup, title: readonly number[] = [], number = 1): number[] {
    return [markup].flat().flatMap((part) => {
      if (part === "title") return [...title];
      return part === "index" ? (this.#file.index?.[number - 1]?.ids ?? []) : part.ids;
    });
  }
}

/** Undefined if the model does not branch. The engine checks the file and refuses a wrong one. */
export function readDialect(folder: string): Dialect | undefined {
  const path = join(folder, "aspd.json");
  if (!existsSync(path)) return undefined;
  return new Dialect(JSON.parse(readFileSync(path, "utf8")) as DialectFile);
}
