import type { ComponentChildren } from "preact";
import type { Polled } from "../api/polled.ts";

export function ErrorNote({ message, retry }: { message: string; retry?: () => void }) {
  return (
    <div class="note note-error" role="alert">
      <p>{message}</p>
      {retry && (
        <button type="button" onClick={retry}>
          Try again
        </button>
      )}
    </div>
  );
}

export function Empty({ title, children }: { title: string; children: ComponentChildren }) {
  return (
    <div class="note note-empty">
      <h2>{title}</h2>
      {children}
    </div>
  );
}

/** What is asked for, or why it is not there. An older answer stays beside the reason why there is no newer one. */
export function Shown<T>({
  of,
  children,
}: {
  of: Polled<T>;
  children: (data: T) => ComponentChildren;
}) {
  const { data, failure, refresh } = of;
  const retry = () => {
    refresh.value++;
  };
  return (
    <>
      {failure.value && <ErrorNote message={failure.value.message} retry={retry} />}
      {data.value !== null ? (
        children(data.value)
      ) : failure.value ? null : (
        <p class="muted" role="status">
          Loading …
        </p>
      )}
    </>
  );
}
