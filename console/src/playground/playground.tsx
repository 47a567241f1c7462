import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { ErrorNote } from "../parts/notes.tsx";
import { Composer } from "./composer.tsx";
import { clear, open, running, transcript, turns } from "./conversation.ts";
import { prompt, rows } from "./draft.ts";
import { SettingsPanel } from "./settings-panel.tsx";
import { TurnView } from "./turn.tsx";

const examples = [
  "What are the benefits of learning a second language?",
  "Compare Oslo, Seoul and Vienna.",
  "Give me five tips for a good night's sleep.",
];

function Welcome() {
  return (
    <section class="welcome">
      <h1>Watch an answer branch</h1>
      <p>
        Where an answer has independent parts, the model writes them side by side, then goes on with
        all of them in view. Ask for something that has parts:
      </p>
      <ul class="examples">
        {examples.map((text) => (
          <li key={text}>
            <button
              type="button"
              onClick={() => {
                prompt.value = text;
                document.querySelector<HTMLTextAreaElement>(".composer textarea")?.focus();
              }}
            >
              {text}
            </button>
          </li>
        ))}
        <li>
          <button
            type="button"
            onClick={() => {
              prompt.value = "Answer in one sentence.";
              rows.value = [
                { title: "Japan", content: "What is Japan known for?" },
                { title: "Egypt", content: "What is Egypt known for?" },
                { title: "Peru", content: "What is Peru known for?" },
              ];
            }}
          >
            Three questions of your own, side by side
          </button>
        </li>
      </ul>
    </section>
  );
}

function save(): void {
  const url = URL.createObjectURL(new Blob([transcript()], { type: "application/json" }));
  const link = document.createElement("a");
  link.href = url;
  link.download = `anabranch-${new Date().toISOString().slice(0, 16).replaceAll(":", "")}.json`;
  link.click();
  URL.revokeObjectURL(url);
}

function Conversation() {
  const problem = useSignal<string | null>(null);
  const chosen = useRef<HTMLInputElement>(null);
  const some = turns.value.length > 0;
  const load = async (file: File | undefined) => {
    if (!file) return;
    problem.value = open(await file.text()) ? null : `${file.name} is no conversation saved here.`;
  };
  return (
    <div class="toolbar">
      <h1 class={some ? "" : "sr-only"}>Playground</h1>
      <span class="grow" />
      {some && (
        <>
          <button type="button" class="quiet" title="A new conversation" onClick={clear}>
            New
          </button>
          <button type="button" class="quiet" onClick={save}>
            Save
          </button>
        </>
      )}
      <button type="button" class="quiet" onClick={() => chosen.current?.click()}>
        Open …
      </button>
      <input
        ref={chosen}
        type="file"
        accept="application/json"
        hidden
        onChange={({ currentTarget }) => {
          void load(currentTarget.files?.[0]);
          currentTarget.value = "";
        }}
      />
      {problem.value && <ErrorNote message={problem.value} />}
    </div>
  );
}

export function Playground() {
  const count = turns.value.length;
  const busy = running.value;
  const begunAt = useRef<number | null>(null);
  useEffect(() => {
    if (count > 1) document.querySelector(".turn:last-of-type")?.scrollIntoView();
  }, [count]);
  // The end of an answer comes into view, unless somebody has scrolled meanwhile.
  useEffect(() => {
    if (busy) begunAt.current = scrollY;
    else if (begunAt.current === scrollY) {
      document.querySelector(".turn:last-of-type .turn-foot")?.scrollIntoView({ block: "nearest" });
    }
  }, [busy]);
  return (
    <div class="playground">
      <div class="talk">
        <Conversation />
        {count === 0 && <Welcome />}
        {turns.value.map((turn, index) => (
          <TurnView key={turn.id} turn={turn} last={index === count - 1} />
        ))}
        <Composer />
      </div>
      <aside>
        <SettingsPanel />
      </aside>
    </div>
  );
}
