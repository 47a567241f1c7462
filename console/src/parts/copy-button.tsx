import { useSignal } from "@preact/signals";

export function CopyButton({ text, label = "Copy" }: { text: () => string; label?: string }) {
  const said = useSignal(label);
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text());
      said.value = "Copied";
    } catch {
      said.value = "Select and copy by hand";
    }
    setTimeout(() => {
      said.value = label;
    }, 2_000);
  };
  return (
    <button type="button" class="quiet" onClick={copy}>
      <span aria-live="polite">{said.value}</span>
    </button>
  );
}
