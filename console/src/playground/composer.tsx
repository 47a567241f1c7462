import { BranchRows } from "./branch-rows.tsx";
import { ask, race, running, stop } from "./conversation.ts";
import { addRows, clearDraft, declares, missing, prompt, question, rows } from "./draft.ts";
import { OpinionView } from "./opinion.tsx";
import { settings } from "./settings.ts";

function send(how: typeof ask): void {
  if (missing.value !== null || running.value || settings.value.model === "") return;
  const asked = question.value;
  clearDraft();
  void how(asked);
}

function Actions() {
  const why = settings.value.model === "" ? "Choose a model first." : missing.value;
  if (running.value) {
    return (
      <button type="button" class="primary" onClick={stop}>
        Stop
      </button>
    );
  }
  return (
    <>
      {!declares.value && (
        <button
          type="button"
          disabled={why !== null}
          title={why ?? "The same prompt serially and in branches, side by side"}
          onClick={() => send(race)}
        >
          Race
        </button>
      )}
      <button type="submit" class="primary" disabled={why !== null} title={why ?? "Enter"}>
        Send
      </button>
    </>
  );
}

export function Composer() {
  return (
    <form
      class="composer"
      onSubmit={(event) => {
        event.preventDefault();
        send(ask);
      }}
    >
      <label class="field">
        <span class={declares.value ? "" : "sr-only"}>
          {declares.value ? "What all branches share" : "Question"}
        </span>
        <textarea
          rows={declares.value ? 3 : 2}
          placeholder={declares.value ? "A text, or how to answer" : "Ask something that has parts"}
          value={prompt.value}
          onInput={(event) => {
            prompt.value = event.currentTarget.value;
          }}
          onKeyDown={(event) => {
            if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
            event.preventDefault();
            send(ask);
          }}
        />
      </label>
      {declares.value && <BranchRows />}
      <div class="composer-actions">
        <button
          type="button"
          class="quiet"
          aria-pressed={declares.value}
          title="Declare the parts of the answer yourself"
          onClick={() => {
            if (declares.value) rows.value = [];
            else addRows(3);
          }}
        >
          {declares.value ? "Without branches" : "Declare branches"}
        </button>
        <span class="grow" />
        <Actions />
      </div>
      <OpinionView />
    </form>
  );
}
