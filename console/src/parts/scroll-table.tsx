import type { ComponentChildren } from "preact";

interface Props {
  label: string;
  class?: string;
  children: ComponentChildren;
}

/** A table that scrolls by itself where it is wider than its place. */
export function ScrollTable({ label, class: more = "", children }: Props) {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls is reached by keyboard
    <section class={`table-scroll ${more}`} tabIndex={0} aria-label={label}>
      <table>{children}</table>
    </section>
  );
}
