// How far a download, or other work on files, is, on standard error: a bar on a terminal, else a line now and then.
import cliProgress from "cli-progress";
import { sizeText } from "./sizes.ts";

export interface Progress {
  /** `bytes` of a file are here. */
  at(file: string, bytes: number): void;
  /** A file of this size was here already. */
  advance(bytes: number): void;
  note(message: string): void;
  end(): void;
}

const LINE_EVERY_MS = 10_000;

/** @param total bytes of all files */
export function progressOf(
  name: string,
  total: number,
  words = { doing: "fetching", done: "are here" },
): Progress {
  const say = (line: string) => process.stderr.write(`${line}\n`);
  const done = new Map<string, number>();
  let before = 0;
  const sum = () => [...done.values()].reduce((all, bytes) => all + bytes, before);
  const bar = process.stderr.isTTY ? barOf(total) : undefined;
  if (!bar) say(`${words.doing} ${name}: ${sizeText(total)}`);
  let lineAt = Date.now();
  const show = (file: string) => {
    if (bar) return bar.show(sum(), file);
    if (Date.now() - lineAt < LINE_EVERY_MS) return;
    lineAt = Date.now();
    say(`  ${Math.floor((100 * sum()) / total)}%, ${sizeText(sum())}, at ${file}`);
  };
  return {
    at(file, bytes) {
      done.set(file, bytes);
      show(file);
    },
    advance(bytes) {
      before += bytes;
      show(name);
    },
    note(message) {
      if (bar) bar.note(message);
      else say(`  ${message}`);
    },
    end() {
      bar?.stop();
      if (!bar) say(`  ${sizeText(sum())} of ${sizeText(total)} ${words.done}`);
    },
  };
}

/** A bar of several may have lines above it. */
function barOf(total: number) {
  const bars = new cliProgress.MultiBar({
    ...{ stream: process.stderr, hideCursor: true, etaBuffer: 200 },
    format: " {bar} {percentage}% {amount}, {eta_formatted} left, {file}",
    // The last state stays visible.
    stopOnComplete: false,
  });
  const bar = bars.create(Math.max(1, total), 0, { file: "", amount: "" });
  return {
    show: (bytes: number, file: string) =>
      bar.update(bytes, { file, amount: `${sizeText(bytes)} of ${sizeText(total)}` }),
    note(line: string) {
      bars.log(`${line}\n`);
      bars.update();
    },
    stop: () => bars.stop(),
  };
}
