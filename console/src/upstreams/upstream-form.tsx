// A new upstream, or changes of one.
import { useSignal } from "@preact/signals";
import { api, bodyOf, type Schemas } from "../api/client.ts";
import { Checks, type Field, Form, namesIn, numberOrNull, TextFields } from "../parts/form.tsx";

type Upstream = Schemas["Upstream"];

const lacks = ["tools", "response_format"] as const;

interface Given {
  id: string;
  url: string;
  credential: string;
  models: string;
  atOnce: string;
  most: string;
}

const nothing: Given = { id: "", url: "", credential: "", models: "", atOnce: "", most: "1024" };

/** `OURS=THEIRS`, or one name for both. */
const shownModel = ({ id, name }: { id: string; name: string }) =>
  id === name ? id : `${id}=${name}`;

function modelOf(text: string) {
  const [id = "", ...name] = text.split("=");
  return name.length > 0 ? { id, name: name.join("=") } : { id };
}

const givenOf = (of: Upstream): Given => ({
  ...{ id: of.id, url: of.url, credential: "" },
  models: of.chosen?.map(shownModel).join(", ") ?? "",
  ...{ atOnce: `${of.max_requests ?? ""}`, most: `${of.default_max_tokens}` },
});

const idField: Field<"id"> = [
  ...(["id", "Name"] as const),
  { required: true, pattern: "[\\w.\\-]{1,64}", placeholder: "big" },
];
const fields = (of: Upstream | null): readonly Field<Exclude<keyof Given, "id">>[] => [
  ["url", "Base URL", { type: "url", required: true, placeholder: "http://10.0.0.5:8000/v1" }],
  [
    ...(["credential", "Credential"] as const),
    {
      ...{ type: "password", autocomplete: "off" },
      placeholder: of?.has_credential ? "stays as it is" : "none",
    },
  ],
  ["models", "Models", { placeholder: "all; else OURS=THEIRS, with commas" }],
  ["atOnce", "Requests at once", { type: "number", min: 1, placeholder: "no limit" }],
  ["most", "Tokens of an answer", { type: "number", min: 1, required: true }],
];

interface Props {
  /** The one that is changed; null: a new one. */
  of: Upstream | null;
  done: () => void;
  cancel: () => void;
}

export function UpstreamForm({ of, done, cancel }: Props) {
  const draft = useSignal<Given>(of ? givenOf(of) : nothing);
  const without = useSignal<readonly (typeof lacks)[number][]>(of?.without ?? []);
  const none = useSignal(false);
  const change = (changes: Partial<Given>) => {
    draft.value = { ...draft.value, ...changes };
  };
  const act = async () => {
    const { id, url, credential, models, atOnce, most } = draft.value;
    const names = namesIn(models).map(modelOf);
    const body = {
      url,
      ...(none.value ? { credential: null } : credential && { credential }),
      models: names.length > 0 ? names : null,
      ...{ max_requests: numberOrNull(atOnce), default_max_tokens: Number(most) },
      without: [...without.value],
    };
    await (of
      ? bodyOf(api.PATCH("/admin/v1/upstreams/{id}", { params: { path: { id: of.id } }, body }))
      : bodyOf(api.POST("/admin/v1/upstreams", { body: { id, ...body } })));
    done();
  };
  return (
    <Form
      label={of ? `Change ${of.id}` : "A new upstream"}
      verb={of ? "Save" : "Add"}
      act={act}
      cancel={cancel}
    >
      <div class="field-grid wide">
        {of === null && <TextFields fields={[idField]} given={draft.value} change={change} />}
        <TextFields fields={fields(of)} given={draft.value} change={change} />
        {of?.has_credential && (
          <label class="check">
            <input
              type="checkbox"
              checked={none.value}
              onChange={({ currentTarget: { checked } }) => {
                none.value = checked;
              }}
            />
            <span>It takes no credential any more</span>
          </label>
        )}
        <Checks
          legend="It does not have"
          values={lacks}
          chosen={without.value}
          change={(values) => {
            without.value = values;
          }}
        />
      </div>
      <p class="small muted">
        The gateway asks it for its models before it takes it, and every five seconds from then on.
        A change makes answers of it that were cached a miss.
      </p>
    </Form>
  );
}
