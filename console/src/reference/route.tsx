import { type ApiDocument, type Content, type Route as RouteFacts, typeText } from "./document.ts";
import { Fields } from "./fields.tsx";

const jsonOf = (content: Record<string, Content> | undefined) => content?.["application/json"];

function Example({ route, example }: { route: RouteFacts; example: object }) {
  return (
    <pre>
      {`curl ${location.origin}${route.path} -H "authorization: Bearer $KEY" \\\n  -d '${JSON.stringify(example)}'`}
    </pre>
  );
}

/** One method of one path: what it takes, what it answers, how it refuses. */
export function Route({ document, route }: { document: ApiDocument; route: RouteFacts }) {
  const { method, path, operation } = route;
  const { parameters = [], responses, requestBody } = operation;
  const body = jsonOf(requestBody?.content);
  const { 200: good, ...refusals } = responses;
  const answer = jsonOf(good?.content);
  const stream = good?.content?.["text/event-stream"];
  return (
    <details class="card route">
      <summary>
        <code class="method">{method}</code> <code>{path}</code>
        <span class="muted">{operation.summary}</span>
      </summary>
      {body?.example && <Example route={route} example={body.example} />}
      {parameters.length > 0 && (
        <section>
          <h4>Parameters</h4>
          <dl class="fields">
            {parameters.map(({ name, in: place, required, description, schema }) => (
              <div key={name}>
                <dt>
                  <code>{name}</code>
                  {required && <span class="needed">needed</span>}
                </dt>
                <dd>
                  <span class="muted">
                    {place}, {typeText(document, schema)}
                  </span>
                  {(description ?? schema.description) && (
                    <p>{description ?? schema.description}</p>
                  )}
                </dd>
              </div>
            ))}
          </dl>
        </section>
      )}
      {body && (
        <section>
          <h4>Request</h4>
          <Fields document={document} schema={body.schema} />
        </section>
      )}
      {answer && (
        <section>
          <h4>Answer</h4>
          <p>{good?.description}</p>
          {stream && <p class="small muted">As a stream: {stream.schema.description}</p>}
          <Fields document={document} schema={answer.schema} />
        </section>
      )}
      <section>
        <h4>Errors</h4>
        <dl class="fields">
          {Object.entries(refusals).map(([status, { description }]) => (
            <div key={status}>
              <dt>
                <code>{status}</code>
              </dt>
              <dd>{description}</dd>
            </div>
          ))}
        </dl>
      </section>
    </details>
  );
}
