/** A river that parts and joins. */
export function Mark() {
  return (
    <svg class="mark" viewBox="0 0 32 32" aria-hidden="true">
      <path d="M16 2v6M16 24v6M16 8c0 5-9 4-9 8s9 3 9 8M16 8v16M16 8c0 5 9 4 9 8s-9 3-9 8" />
    </svg>
  );
}
