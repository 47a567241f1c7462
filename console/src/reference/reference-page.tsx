// The reference of the API, from the document that the gateway serves.
import { usePolled } from "../api/polled.ts";
import { Shown } from "../parts/notes.tsx";
import { type ApiDocument, routesOf } from "./document.ts";
import { Route } from "./route.tsx";

async function readDocument(): Promise<ApiDocument> {
  const response = await fetch("/openapi.json");
  if (!response.ok) throw new Error(`/openapi.json answers ${response.status}`);
  return response.json();
}

export function ReferencePage() {
  const read = usePolled(readDocument, "reference");
  return (
    <>
      <div class="toolbar">
        <h1>API</h1>
        <a href="/openapi.json">openapi.json</a>
      </div>
      <Shown of={read}>
        {(document) =>
          document.tags.map(({ name, description }) => (
            <section key={name} class="reference">
              <h2>{name}</h2>
              <p class="muted">{description}</p>
              {routesOf(document, name).map((route) => (
                <Route key={`${route.method} ${route.path}`} document={document} route={route} />
              ))}
            </section>
          ))
        }
      </Shown>
    </>
  );
}
