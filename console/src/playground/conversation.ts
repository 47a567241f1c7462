// The turns of the conversation that the playground shows.
import { computed, signal } from "@preact/signals";
import { keep } from "../stored.ts";
import { isOver, Run, type SavedRun } from "./run.ts";
import { chatRequest, type Message, type Question, settings } from "./settings.ts";

export interface Turn {
  id: number;
  question: Question;
  /** One, or of a race two: serial, then in branches. */
  runs: readonly Run[];
}

const name = "anabranch.conversation";

/** A conversation as a file. */
interface Transcript {
  anabranch: 1;
  turns: { question: Question; runs: SavedRun[] }[];
}

export const turns = signal<readonly Turn[]>(opened(sessionStorage.getItem(name)));

export const running = computed(() =>
  turns.value.some(({ runs }) => runs.some(({ status }) => !isOver(status.value))),
);

/** What the file holds; null if it is not one of ours. */
function read(text: string): Turn[] | null {
  try {
    const { anabranch, turns } = JSON.parse(text) as Transcript;
    if (anabranch !== 1) return null;
    return turns.map(({ question, runs }, id) => ({ id, question, runs: runs.map(Run.opened) }));
  } catch {
    return null;
  }
}

function opened(text: string | null): Turn[] {
  return (text !== null && read(text)) || [];
}

export function transcript(): string {
  const saved: Transcript = {
    anabranch: 1,
    turns: turns.value.map(({ question, runs }) => ({
      question,
      runs: runs.map((run) => run.saved),
    })),
  };
  return JSON.stringify(saved);
}

const save = () =>
  keep(sessionStorage, name, turns.value.length > 0 ? JSON.parse(transcript()) : null);
// A reload keeps what an answer had so far.
addEventListener("pagehide", save);

/** Returns false if the text is no saved conversation. */
export function open(text: string): boolean {
  const found = read(text);
  if (found) turns.value = found;
  return found !== null;
}

export function clear(): void {
  stop();
  turns.value = [];
}

export function stop(): void {
  for (const { runs } of turns.value) for (const run of runs) run.stop();
}

/** The turns before as messages. An answer with its structure lets the model see its branches apart from each other. */
function messagesOf({ question: { prompt, branches }, runs }: Turn): Message[] {
  const run = runs.findLast(({ answer }) => answer.text !== "");
  if (!run) return [];
  if (branches.length === 0) return [{ role: "user", content: prompt }, run.answer.message];
  const asked = branches.map(({ title, content }) => `${title}: ${content}`);
  return [
    { role: "user", content: [prompt, ...asked].filter((text) => text !== "").join("\n\n") },
    { role: "assistant", content: run.answer.text },
  ];
}

async function add(question: Question, requests: Run[], before: readonly Turn[]): Promise<void> {
  const turn = { id: (before.at(-1)?.id ?? -1) + 1, question, runs: requests };
  turns.value = [...before, turn];
  if (settings.value.together) await Promise.all(requests.map((run) => run.send()));
  else for (const run of requests) await run.send();
  save();
}

export function ask(question: Question, before: readonly Turn[] = turns.value): Promise<void> {
  const history = before.flatMap(messagesOf);
  return add(question, [new Run(chatRequest(question, history, settings.value.mode))], before);
}

/** The same prompt serially and in branches. Neither is answered from the cache: their times are measured. */
export function race(question: Question, before: readonly Turn[] = turns.value): Promise<void> {
  const history = before.flatMap(messagesOf);
  const given = { ...settings.value, cache: false };
  const runs = (["serial", "parallel"] as const).map(
    (mode) => new Run(chatRequest(question, history, mode, given)),
  );
  return add(question, runs, before);
}

/** Asks the last turn's question again, in its place. */
export function retry(): Promise<void> {
  const last = turns.value.at(-1);
  if (!last) return Promise.resolve();
  const before = turns.value.slice(0, -1);
  return (last.runs.length > 1 ? race : ask)(last.question, before);
}
