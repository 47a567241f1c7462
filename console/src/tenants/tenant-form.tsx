// The weight and the limits of a tenant.
import { useSignal } from "@preact/signals";
import { api, bodyOf, type Schemas } from "../api/client.ts";
import { Form, TextFields } from "../parts/form.tsx";
import { type GivenLimits, givenOf, limitFields, limitsOf } from "./limits.ts";

interface Props {
  of: Schemas["Tenant"];
  changed: () => void;
  cancel: () => void;
}

type Given = GivenLimits & { weight: string };

const fields = [
  ["weight", "Weight", { type: "number", min: 1, max: 100, required: true }] as const,
  ...limitFields,
];

export function TenantForm({ of, changed, cancel }: Props) {
  const { id } = of;
  const given = useSignal<Given>({ weight: `${of.weight}`, ...givenOf(of) });
  const act = async () => {
    const { weight, ...limits } = given.value;
    const body = { weight: Number(weight), ...limitsOf(limits) };
    await bodyOf(api.PATCH("/admin/v1/tenants/{id}", { params: { path: { id } }, body }));
    changed();
  };
  return (
    <Form label={`Change ${id}`} verb="Save" act={act} cancel={cancel}>
      <p class="small muted">
        The limits are those of all its keys together. The weight is its part of a full worker
        beside the parts of others: of two tenants with weights 3 and 1, the first gets three
        quarters.
      </p>
      <div class="field-grid wide">
        <TextFields
          fields={fields}
          given={given.value}
          change={(changes) => {
            given.value = { ...given.value, ...changes };
          }}
        />
      </div>
    </Form>
  );
}
