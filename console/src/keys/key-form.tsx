// A new key. Its secret is shown once.
import { type Signal, useSignal } from "@preact/signals";
import { api, bodyOf, type Schemas } from "../api/client.ts";
import { Failure } from "../api/failure.ts";
import { CopyButton } from "../parts/copy-button.tsx";
import { ErrorNote } from "../parts/notes.tsx";
import { key as ownKey } from "../session.ts";

type NewKey = Schemas["NewKey"];

const scopes = ["inference", "usage"] as const;

interface Given {
  tenant: string;
  name: string;
  rpm: string;
  tpm: string;
  atOnce: string;
  month: string;
  cost: string;
  scopes: readonly (typeof scopes)[number][];
  models: string;
  expires: string;
}

const nothing: Given = {
  ...{ tenant: "", name: "", rpm: "", tpm: "", atOnce: "", month: "", cost: "" },
  ...{ scopes, models: "", expires: "" },
};

const numberOrNull = (text: string) => (text === "" ? null : Number(text));

/** The end of a day of the calendar, here. */
const endOf = (day: string) => Math.floor(new Date(`${day}T23:59:59`).getTime() / 1_000);

function requestOf({ tenant, name, scopes, models, expires, ...given }: Given) {
  const named = models.split(/[\s,]+/).filter((each) => each !== "");
  return {
    ...{ tenant, name, scopes: [...scopes] },
    ...{ rpm: numberOrNull(given.rpm), tpm: numberOrNull(given.tpm) },
    max_concurrent: numberOrNull(given.atOnce),
    tokens_per_month: numberOrNull(given.month),
    cost_per_month: given.cost === "" ? null : given.cost,
    models: named.length > 0 ? named : null,
    expires_at: expires === "" ? null : endOf(expires),
  };
}

type TextField = Exclude<keyof Given, "scopes">;

const fields: [TextField, label: string, attributes: Record<string, string | number | boolean>][] =
  [
    ["tenant", "Tenant", { required: true, pattern: "[\\w.@:\\-]{1,64}", placeholder: "acme" }],
    ["name", "Name", { maxLength: 100, placeholder: "what it is for" }],
    ["rpm", "Requests a minute", { type: "number", min: 1, placeholder: "no limit" }],
    ["tpm", "Tokens a minute", { type: "number", min: 1, placeholder: "no limit" }],
    ["atOnce", "Requests at once", { type: "number", min: 1, placeholder: "no limit" }],
    ["month", "Tokens a month", { type: "number", min: 1, placeholder: "no limit" }],
    [
      "cost",
      "Money a month",
      { inputMode: "decimal", pattern: "\\d{1,9}(\\.\\d{1,6})?", placeholder: "no limit" },
    ],
    ["models", "Models", { placeholder: "all; else names, with commas" }],
    ["expires", "Ends after", { type: "date" }],
  ];

function Fields({ given }: { given: Signal<Given> }) {
  const change = (changes: Partial<Given>) => {
    given.value = { ...given.value, ...changes };
  };
  return (
    <div class="field-grid wide">
      {fields.map(([field, label, attributes]) => (
        <label key={field} class="field">
          <span>{label}</span>
          <input
            {...attributes}
            value={given.value[field]}
            onInput={(event) => change({ [field]: event.currentTarget.value })}
          />
        </label>
      ))}
      <fieldset class="field">
        <legend>For</legend>
        {scopes.map((scope) => (
          <label key={scope} class="check">
            <input
              type="checkbox"
              checked={given.value.scopes.includes(scope)}
              onChange={({ currentTarget: { checked } }) =>
                change({
                  scopes: scopes.filter((each) =>
                    each === scope ? checked : given.value.scopes.includes(each),
                  ),
                })
              }
            />
            <span>{scope}</span>
          </label>
        ))}
      </fieldset>
    </div>
  );
}

/** A key that was just made, or took the place of another. */
export function Secret({ made, close }: { made: NewKey; close: () => void }) {
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

export function KeyForm({ made, cancel }: { made: (key: NewKey) => void; cancel: () => void }) {
  const given = useSignal<Given>(nothing);
  const problem = useSignal<string | null>(null);
  const create = async () => {
    try {
      made(await bodyOf(api.POST("/admin/v1/keys", { body: requestOf(given.value) })));
    } catch (error) {
      problem.value = Failure.from(error).message;
    }
  };
  return (
    <form
      class="card stack"
      aria-label="A new key"
      onSubmit={(event) => {
        event.preventDefault();
        void create();
      }}
    >
      <Fields given={given} />
      {problem.value && <ErrorNote message={problem.value} />}
      <div class="toolbar">
        <button type="submit" class="primary" disabled={given.value.scopes.length === 0}>
          Create
        </button>
        <button type="button" onClick={cancel}>
          Cancel
        </button>
      </div>
    </form>
  );
}
