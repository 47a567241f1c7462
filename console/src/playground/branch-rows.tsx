import { addRows, mostRows, removeRow, rows, setRow } from "./draft.ts";

function Row({ index }: { index: number }) {
  const { title, content } = rows.value[index] ?? { title: "", content: "" };
  return (
    <li class="branch-row">
      <input
        aria-label={`Title of branch ${index + 1}`}
        placeholder="Title"
        maxLength={200}
        value={title}
        onInput={(event) => setRow(index, { title: event.currentTarget.value })}
      />
      <input
        aria-label={`Question of branch ${index + 1}`}
        placeholder="Question"
        value={content}
        onInput={(event) => setRow(index, { content: event.currentTarget.value })}
      />
      <button
        type="button"
        class="quiet"
        aria-label={`Remove branch ${index + 1}`}
        onClick={() => removeRow(index)}
      >
        ✕
      </button>
    </li>
  );
}

/** Declared branches: questions that are answered side by side. */
export function BranchRows() {
  return (
    <fieldset class="branch-rows">
      <legend>Branches</legend>
      <ol>
        {rows.value.map((_, index) => (
          <Row key={index} index={index} />
        ))}
      </ol>
      <button
        type="button"
        class="quiet"
        disabled={rows.value.length >= mostRows}
        onClick={() => addRows(1)}
      >
        + Add a branch
      </button>
    </fieldset>
  );
}
