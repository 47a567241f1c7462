import { useSignal } from "@preact/signals";

interface Props {
  /** What is done, as a verb. */
  label: string;
  /** To what; for screen readers. */
  of: string;
  /** What it means. */
  question: string;
  act: () => Promise<void>;
}

/** A button of a row. */
export function ActionButton({
  label,
  of,
  act,
}: Pick<Props, "label" | "of"> & { act: () => void }) {
  return (
    <button type="button" class="quiet" onClick={act}>
      {label} <span class="sr-only">{of}</span>
    </button>
  );
}

/** A button that asks before it does what can't be undone. */
export function Confirm({ label, of, question, act }: Props) {
  const asking = useSignal(false);
  const busy = useSignal(false);
  if (!asking.value) {
    return (
      <ActionButton
        label={label}
        of={of}
        act={() => {
          asking.value = true;
        }}
      />
    );
  }
  return (
    <fieldset class="confirm">
      <legend class="sr-only">{`${label} ${of}`}</legend>
      <span>{question}</span>
      <button
        type="button"
        class="danger"
        disabled={busy.value}
        onClick={async () => {
          busy.value = true;
          await act();
          busy.value = false;
          asking.value = false;
        }}
      >
        {label}
      </button>
      <button
        type="button"
        onClick={() => {
          asking.value = false;
        }}
      >
        Cancel
      </button>
    </fieldset>
  );
}
