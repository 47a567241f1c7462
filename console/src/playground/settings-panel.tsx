import type { ComponentChildren } from "preact";
import { useEffect } from "preact/hooks";
import { api, bodyOf } from "../api/client.ts";
import { usePolled } from "../api/polled.ts";
import { ErrorNote } from "../parts/notes.tsx";
import { modes, type Settings, set, settings } from "./settings.ts";

const modelsMs = 5_000;

function Models() {
  const models = usePolled(() => bodyOf(api.GET("/v1/models")), "models", modelsMs);
  const found = models.data.value?.data ?? null;
  const chosen = settings.value.model;
  // An adapter is named for what was taught: it goes before its base.
  const first = found?.find(({ anabranch }) => anabranch.base !== null) ?? found?.[0];
  const isServed = (model: string) => found?.some(({ id }) => id === model) ?? true;
  const known = isServed(chosen);
  useEffect(() => {
    // Effects run late: somebody may have chosen since.
    if (first && !isServed(settings.peek().model)) set({ model: first.id });
  }, [known, first]);
  const shown = found?.find(({ id }) => id === chosen)?.anabranch;
  return (
    <>
      <label class="field">
        <span>Model</span>
        <select value={chosen} onChange={(event) => set({ model: event.currentTarget.value })}>
          {(found ?? []).map(({ id }) => (
            <option key={id} value={id} selected={id === chosen}>
              {id}
            </option>
          ))}
        </select>
        {shown && (
          <small>
            {shown.dialect === "outline"
              ? "Branches at the lists of its own text."
              : shown.dialect
                ? `Writes its branches itself (${shown.dialect}).`
                : "Does not branch by itself; declared branches work."}
          </small>
        )}
      </label>
      {found?.length === 0 && (
        <p class="note note-error" role="status">
          No worker serves a model now. Start one: <code>npm run worker -- --help</code>
        </p>
      )}
      {models.failure.value && <ErrorNote message={models.failure.value.message} />}
    </>
  );
}

type NumberField = "temperature" | "topP" | "maxTokens" | "maxBranches" | "seed";

const numberFields: [field: NumberField, label: string, limits: Record<string, number>][] = [
  ["temperature", "Temperature", { min: 0, max: 2, step: 0.1 }],
  ["topP", "Top-p", { min: 0, max: 1, step: 0.05 }],
  ["maxTokens", "Max. tokens", { min: 1, step: 1 }],
  ["maxBranches", "Max. branches", { min: 1, step: 1 }],
  ["seed", "Seed", { min: 0, step: 1 }],
];

function NumberFields() {
  return (
    <div class="field-grid">
      {numberFields.map(([field, label, limits]) => (
        <label key={field} class="field">
          <span>{label}</span>
          <input
            type="number"
            placeholder="default"
            {...limits}
            value={settings.value[field] ?? ""}
            onInput={({ currentTarget: { value, valueAsNumber } }) =>
              set({ [field]: value === "" ? null : valueAsNumber } as Partial<Settings>)
            }
          />
        </label>
      ))}
    </div>
  );
}

function Check(props: { field: "cache" | "together"; children: ComponentChildren }) {
  return (
    <label class="check">
      <input
        type="checkbox"
        checked={settings.value[props.field]}
        onChange={(event) => set({ [props.field]: event.currentTarget.checked })}
      />
      <span>{props.children}</span>
    </label>
  );
}

export function SettingsPanel() {
  return (
    <section class="panel stack" aria-label="Parameters">
      <Models />
      <fieldset class="field">
        <legend>Mode</legend>
        <div class="segments">
          {modes.map((mode) => (
            <button
              key={mode}
              type="button"
              aria-pressed={settings.value.mode === mode}
              onClick={() => set({ mode })}
            >
              {mode}
            </button>
          ))}
        </div>
      </fieldset>
      <NumberFields />
      <label class="field">
        <span>System message</span>
        <textarea
          rows={2}
          value={settings.value.system}
          onInput={(event) => set({ system: event.currentTarget.value })}
        />
      </label>
      <Check field="cache">Answer from the cache if it can</Check>
      <Check field="together">Race at the same time, not one after the other</Check>
    </section>
  );
}
