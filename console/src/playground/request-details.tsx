// What was sent and what came back, for those who build on it.
import { useSignal } from "@preact/signals";
import { CopyButton } from "../parts/copy-button.tsx";
import { ScrollTable } from "../parts/scroll-table.tsx";
import type { RunEvent } from "./event-log.ts";
import type { Run } from "./run.ts";
import { languages, snippet } from "./snippets.ts";

const shownEvents = 400;

function Code({ run }: { run: Run }) {
  const language = useSignal<(typeof languages)[number]>("curl");
  const text = snippet(language.value, run.request, location.origin);
  return (
    <div class="code">
      <div class="code-bar">
        <fieldset class="segments">
          <legend class="sr-only">Language</legend>
          {languages.map((each) => (
            <button
              key={each}
              type="button"
              aria-pressed={each === language.value}
              onClick={() => {
                language.value = each;
              }}
            >
              {each}
            </button>
          ))}
        </fieldset>
        <CopyButton text={() => text} />
      </div>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls is reached by keyboard */}
      <pre tabIndex={0}>{text}</pre>
    </div>
  );
}

function EventRow({ event: { at, chunk } }: { event: RunEvent }) {
  const mark = chunk.anabranch;
  const text = chunk.choices?.[0]?.delta?.content;
  const shown = chunk.error ?? chunk.usage ?? (mark?.event === "delta" ? text : mark);
  return (
    <tr>
      <td class="number">{at.toFixed(0)}</td>
      <td>{chunk.error ? "error" : chunk.usage ? "usage" : (mark?.event ?? "chunk")}</td>
      <td class="number">{mark?.lane ?? ""}</td>
      <td>
        <code>{JSON.stringify(shown)}</code>
      </td>
    </tr>
  );
}

function Events({ run }: { run: Run }) {
  const frame = run.frame.value;
  const { events } = run;
  const hidden = Math.max(0, events.length - shownEvents);
  return (
    <div class="events" data-frame={frame}>
      <ScrollTable label="Events of the stream">
        <thead>
          <tr>
            <th scope="col">ms</th>
            <th scope="col">event</th>
            <th scope="col">lane</th>
            <th scope="col">text or fields</th>
          </tr>
        </thead>
        <tbody>
          {events.slice(hidden).map((event, index) => (
            <EventRow key={hidden + index} event={event} />
          ))}
        </tbody>
      </ScrollTable>
      {hidden > 0 && <p class="muted small">{hidden} earlier ones are in the saved file.</p>}
    </div>
  );
}

/** Two buttons and, below their row, what they open. `named`: there is another request beside this one. */
export function RequestDetails({ run, named }: { run: Run; named: boolean }) {
  const shown = useSignal<"code" | "events" | null>(null);
  const of = named ? ` (${run.request.anabranch?.mode})` : "";
  const toggle = (what: "code" | "events", label: string) => (
    <button
      type="button"
      class="quiet"
      aria-expanded={shown.value === what}
      onClick={() => {
        shown.value = shown.value === what ? null : what;
      }}
    >
      {label + of}
    </button>
  );
  return (
    <>
      {toggle("code", "Code")}
      {toggle("events", "Events")}
      {shown.value === "code" && <Code run={run} />}
      {shown.value === "events" && <Events run={run} />}
    </>
  );
}
