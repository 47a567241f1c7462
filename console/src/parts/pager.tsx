import { query, setQuery } from "../router.ts";

/** Of a list in pages: `name` is what the address calls the beginning of one. */
export function Pager({ next, name }: { next: string | null; name: "after" | "before" }) {
  return (
    <div class="toolbar">
      {query.value.has(name) && (
        <button type="button" onClick={() => setQuery({ [name]: null })}>
          First page
        </button>
      )}
      {next !== null && (
        <button type="button" onClick={() => setQuery({ [name]: next })}>
          Next page
        </button>
      )}
    </div>
  );
}
