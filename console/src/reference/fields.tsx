import { type ApiDocument, fieldsOf, type Schema, typeText } from "./document.ts";

/** Deeper ones are left to the document itself. */
const deepest = 4;

interface FieldsProps {
  document: ApiDocument;
  schema: Schema;
  depth?: number;
}

/** The fields of a schema, those of objects inside folded. */
export function Fields({ document, schema, depth = 0 }: FieldsProps) {
  const fields = fieldsOf(document, schema);
  if (fields.length === 0) return <p class="small">{typeText(document, schema)}</p>;
  return (
    <dl class="fields">
      {fields.map(([name, field, required]) => {
        const inside = depth < deepest ? fieldsOf(document, field) : [];
        return (
          <div key={name}>
            <dt>
              <code>{name}</code>
              {required && <span class="needed">needed</span>}
            </dt>
            <dd>
              <span class="muted">
                {typeText(document, field)}
                {field.default !== undefined && `, default ${JSON.stringify(field.default)}`}
              </span>
              {field.description && <p>{field.description}</p>}
              {inside.length > 0 && (
                <details>
                  <summary>{inside.length === 1 ? "1 field" : `${inside.length} fields`}</summary>
                  <Fields document={document} schema={field} depth={depth + 1} />
                </details>
              )}
            </dd>
          </div>
        );
      })}
    </dl>
  );
}
