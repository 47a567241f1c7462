// What is shown once.
import type { Schemas } from "../api/client.ts";
import { CopyButton } from "../parts/copy-button.tsx";
import { key as ownKey } from "../session.ts";

/** A key that was just made, or took the place of another. */
export function Secret({ made, close }: { made: Schemas["NewKey"]; close: () => void }) {
  return (
    <section class="note note-secret" aria-label="The new key">
      <h2>Copy the key now</h2>
      <p>It is shown this once: only a hash of it is kept.</p>
      <div class="secret">
        <code>{made.key}</code>
        <CopyButton text={() => made.key} />
      </div>
      <div class="toolbar">
        {ownKey.value === "" && (
          <button
            type="button"
            onClick={() => {
              ownKey.value = made.key;
              close();
            }}
          >
            Use it in this tab
          </button>
        )}
        <button type="button" class="primary" onClick={close}>
          I have it
        </button>
      </div>
    </section>
  );
}
