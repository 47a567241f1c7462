import { useSignal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";
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
  ["temperature", "Temperature", { min: 0, max: 2, step: 0.01 }],
  ["topP", "Top-p", { min: 0, max: 1, step: 0.01 }],
  ["maxTokens", "Max. tokens", { min: 1, step: 1 }],
  ["maxBranches", "Max. branches", { min: 1, step: 1 }],
  // A larger one is not a number of JavaScript's.
  ["seed", "Seed", { min: 0, max: Number.MAX_SAFE_INTEGER, step: 1 }],
];

/** What is typed stays as it is typed: "0." is on its way to 0.7. What no request may have is not set, and said. */
function NumberInput(props: { field: NumberField; label: string; limits: Record<string, number> }) {
  const { field, label, limits } = props;
  const value = settings.value[field];
  const input = useRef<HTMLInputElement>(null);
  const problem = useSignal("");
  const show = () => {
    if (input.current) input.current.value = String(settings.peek()[field] ?? "");
  };
  useEffect(() => {
    if (document.activeElement !== input.current) show();
  }, [value]);
  return (
    <div class="field">
      <label class="field">
        <span>{label}</span>
        <input
          ref={input}
          type="number"
          placeholder="default"
          {...limits}
          aria-invalid={problem.value !== ""}
          onInput={({ currentTarget: typed }) => {
            problem.value = typed.validationMessage;
            if (!typed.validity.valid) return;
            set({ [field]: typed.value === "" ? null : typed.valueAsNumber } as Partial<Settings>);
          }}
          onBlur={() => {
            problem.value = "";
            show();
          }}
        />
      </label>
      {problem.value && <small role="alert">{problem.value}</small>}
    </div>
  );
}

function NumberFields() {
  return (
    <div class="field-grid">
      {numberFields.map(([field, label, limits]) => (
        <NumberInput key={field} field={field} label={label} limits={limits} />
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
