// A new key, or changes of one.
import { useSignal } from "@preact/signals";
import { api, bodyOf, type Schemas } from "../api/client.ts";
import { Checks, type Field, Form, namesIn, TextFields } from "../parts/form.tsx";
import { type GivenLimits, givenOf, limitFields, limitsOf, noLimits } from "../tenants/limits.ts";

type Key = Schemas["Key"];

const scopes = ["inference", "usage"] as const;

interface Given extends GivenLimits {
  tenant: string;
  name: string;
  models: string;
  expires: string;
}

const nothing: Given = { ...noLimits, tenant: "", name: "", models: "", expires: "" };

const twoDigits = (value: number) => `${value}`.padStart(2, "0");

/** The day of the calendar, here. */
function dayOf(seconds: number | null): string {
  if (seconds === null) return "";
  const date = new Date(1_000 * seconds);
  return `${date.getFullYear()}-${twoDigits(date.getMonth() + 1)}-${twoDigits(date.getDate())}`;
}

/** The end of a day of the calendar, here, in seconds since the epoch. */
const endOf = (day: string) => Math.floor(new Date(`${day}T23:59:59`).getTime() / 1_000);

const given = (key: Key): Given => ({
  ...givenOf(key),
  ...{ tenant: key.tenant, name: key.name, models: key.models?.join(", ") ?? "" },
  expires: dayOf(key.expires_at),
});

const settingsOf = ({ name, models, ...rest }: Given) => ({
  name,
  ...limitsOf(rest),
  models: namesIn(models).length > 0 ? namesIn(models) : null,
});

const tenantField: Field<"tenant"> = [
  ...(["tenant", "Tenant"] as const),
  { required: true, pattern: "[\\w.@:\\-]{1,64}", placeholder: "acme" },
];
const fields: readonly Field<Exclude<keyof Given, "tenant" | "expires">>[] = [
  ["name", "Name", { maxLength: 100, placeholder: "what it is for" }],
  ...limitFields,
  ["models", "Models", { placeholder: "all; else names, with commas" }],
];
/** Not in the past; the day of a key that has ended may stay until another is given. */
const endField = (before: string): Field<"expires"> => {
  const today = dayOf(Date.now() / 1_000);
  return [
    "expires",
    "Ends after",
    { type: "date", min: before && before < today ? before : today },
  ];
};

interface Props {
  /** The one that is changed; null: a new one. */
  of: Key | null;
  made: (key: Schemas["NewKey"]) => void;
  changed: () => void;
  cancel: () => void;
}

export function KeyForm({ of, made, changed, cancel }: Props) {
  const draft = useSignal<Given>(of ? given(of) : nothing);
  const chosen = useSignal<readonly (typeof scopes)[number][]>(of?.scopes ?? scopes);
  const change = (changes: Partial<Given>) => {
    draft.value = { ...draft.value, ...changes };
  };
  const act = async () => {
    const { tenant, expires } = draft.value;
    const settings = { ...settingsOf(draft.value), scopes: [...chosen.value] };
    const expires_at = expires === "" ? null : endOf(expires);
    if (of === null) {
      const body = { tenant, ...settings, expires_at };
      return made(await bodyOf(api.POST("/admin/v1/keys", { body })));
    }
    // Its end stays to the second unless its day changes.
    const moved = expires !== dayOf(of.expires_at);
    const body = { ...settings, ...(moved && { expires_at }) };
    await bodyOf(api.PATCH("/admin/v1/keys/{id}", { params: { path: { id: of.id } }, body }));
    changed();
  };
  return (
    <Form
      label={of ? `Change ${of.id}` : "A new key"}
      verb={of ? "Save" : "Create"}
      disabled={chosen.value.length === 0}
      act={act}
      cancel={cancel}
    >
      <div class="field-grid wide">
        {of === null && <TextFields fields={[tenantField]} given={draft.value} change={change} />}
        <TextFields
          fields={[...fields, endField(dayOf(of?.expires_at ?? null))]}
          given={draft.value}
          change={change}
        />
        <Checks
          legend="For"
          values={scopes}
          chosen={chosen.value}
          change={(values) => {
            chosen.value = values;
          }}
        />
      </div>
    </Form>
  );
}
