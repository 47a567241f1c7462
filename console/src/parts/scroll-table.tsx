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

/** A column by its title; that of a row's buttons has none. Numbers stand at the right. */
export type Column = string | { number: string };

export function Heads({ columns }: { columns: readonly Column[] }) {
  return (
    <thead>
      <tr>
        {columns.map((column) => {
          const title = typeof column === "string" ? column : column.number;
          return (
            <th key={title} scope="col" class={typeof column === "string" ? undefined : "number"}>
              {title || <span class="sr-only">Actions</span>}
            </th>
          );
        })}
      </tr>
    </thead>
  );
}
