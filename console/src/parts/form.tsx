// Forms that change something through the API.
import { useSignal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useLayoutEffect, useRef } from "preact/hooks";
import { Failure } from "../api/failure.ts";
import { ErrorNote } from "./notes.tsx";

interface Props {
  label: string;
  /** What is done, as a verb. */
  verb: string;
  disabled?: boolean;
  act: () => Promise<void>;
  cancel: () => void;
  children: ComponentChildren;
}

/** Comes up with the focus in its first field, and says what failed. */
export function Form({ label, verb, disabled = false, act, cancel, children }: Props) {
  const problem = useSignal<string | null>(null);
  const busy = useSignal(false);
  const form = useRef<HTMLFormElement>(null);
  useLayoutEffect(() => form.current?.querySelector("input")?.focus(), []);
  const submit = async () => {
    busy.value = true;
    problem.value = null;
    try {
      await act();
    } catch (error) {
      problem.value = Failure.from(error).message;
    }
    busy.value = false;
  };
  return (
    <form
      ref={form}
      class="card stack"
      aria-label={label}
      onSubmit={(event) => {
        event.preventDefault();
        void submit();
      }}
    >
      <h2>{label}</h2>
      {children}
      {problem.value && <ErrorNote message={problem.value} />}
      <div class="toolbar">
        <button type="submit" class="primary" disabled={disabled || busy.value}>
          {verb}
        </button>
        <button type="button" onClick={cancel}>
          Cancel
        </button>
      </div>
    </form>
  );
}

export type Field<Name> = readonly [
  name: Name,
  label: string,
  attributes: Record<string, string | number | boolean>,
];

/** Fields of text. Numbers and dates are texts here, too; an empty one is what is not given. */
export function TextFields<Name extends string>({
  fields,
  given,
  change,
}: {
  fields: readonly Field<Name>[];
  given: Readonly<Record<Name, string>>;
  change: (changes: Partial<Record<Name, string>>) => void;
}) {
  return fields.map(([name, label, attributes]) => (
    <label key={name} class="field">
      <span>{label}</span>
      <input
        {...attributes}
        value={given[name]}
        onInput={({ currentTarget: { value } }) =>
          change({ [name]: value } as Partial<Record<Name, string>>)
        }
      />
    </label>
  ));
}

/** Any of some values. */
export function Checks<Value extends string>({
  legend,
  values,
  chosen,
  change,
}: {
  legend: string;
  values: readonly Value[];
  chosen: readonly Value[];
  change: (chosen: Value[]) => void;
}) {
  return (
    <fieldset class="field">
      <legend>{legend}</legend>
      {values.map((value) => (
        <label key={value} class="check">
          <input
            type="checkbox"
            checked={chosen.includes(value)}
            onChange={({ currentTarget: { checked } }) =>
              change(values.filter((each) => (each === value ? checked : chosen.includes(each))))
            }
          />
          <span>{value}</span>
        </label>
      ))}
    </fieldset>
  );
}

export const numberOrNull = (text: string): number | null => (text === "" ? null : Number(text));

/** Names in a text, with commas or spaces between them. */
export const namesIn = (text: string): string[] => text.split(/[\s,]+/).filter((each) => each);
