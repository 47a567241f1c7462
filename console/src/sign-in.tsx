import { useSignal } from "@preact/signals";
import { Failure } from "./api/failure.ts";
import { ErrorNote } from "./parts/notes.tsx";
import { hrefOf } from "./router.ts";
import { admin, key, signInProblem } from "./session.ts";

function Credential(props: {
  label: string;
  hint: string;
  value: string;
  take: (value: string) => void;
}) {
  return (
    <label class="field">
      <span>{props.label}</span>
      <input
        type="password"
        autocomplete="off"
        spellcheck={false}
        value={props.value}
        onInput={(event) => props.take(event.currentTarget.value.trim())}
      />
      <small>{props.hint}</small>
    </label>
  );
}

/** Why the gateway does not take a credential; null if it does, or if there is none. */
async function refusal(name: string, credential: string, path: string): Promise<string | null> {
  if (credential === "") return null;
  try {
    const response = await fetch(path, { headers: { authorization: `Bearer ${credential}` } });
    return response.status === 401 ? `${name}: ${(await Failure.of(response)).said}` : null;
  } catch (error) {
    return Failure.from(error).said;
  }
}

/** Takes the credentials that are not there yet. */
function Credentials() {
  const givenKey = useSignal(key.peek());
  const givenAdmin = useSignal(admin.peek());
  const problem = useSignal<string | null>(null);
  const signIn = async () => {
    problem.value =
      (await refusal("API key", givenKey.value, "/v1/models")) ??
      (await refusal("Operator's credential", givenAdmin.value, "/admin/v1/pool"));
    if (problem.value !== null) return;
    key.value = givenKey.value;
    admin.value = givenAdmin.value;
  };
  return (
    <form
      class="stack"
      onSubmit={(event) => {
        event.preventDefault();
        void signIn();
      }}
    >
      <Credential
        label="API key"
        hint="For the playground. It begins with sk-ab-."
        value={givenKey.value}
        take={(value) => {
          givenKey.value = value;
        }}
      />
      <Credential
        label="Operator's credential"
        hint="For the operator's pages: pool, upstreams, usage, tenants, keys, audit."
        value={givenAdmin.value}
        take={(value) => {
          givenAdmin.value = value;
        }}
      />
      {problem.value && <ErrorNote message={problem.value} />}
      <div>
        <button type="submit" class="primary" disabled={!givenKey.value && !givenAdmin.value}>
          Sign in
        </button>
      </div>
      <p class="muted small">Both stay in this tab and are gone when it closes.</p>
    </form>
  );
}

export function SignIn() {
  return (
    <section class="narrow stack">
      <h1>Sign in</h1>
      <p>
        <code>npm start</code> prints a link that signs in on this machine, and in its line{" "}
        <code>ready</code> both credentials, or the files that have them. Either will do.
      </p>
      {signInProblem.value && <ErrorNote message={signInProblem.value} />}
      <Credentials />
      <p class="small">
        Without either you can read the <a href={hrefOf("api")}>reference of the API</a>.
      </p>
    </section>
  );
}

export function NeedsCredential({ operator }: { operator: boolean }) {
  return (
    <section class="narrow stack">
      <h1>{operator ? "This page is the operator's" : "The playground needs an API key"}</h1>
      <p>
        {operator
          ? "Give the operator's credential: ANABRANCH_ADMIN_TOKEN of the gateway, “admin” in the line that npm start prints."
          : "Make one on the page Keys, or give one that you have."}
      </p>
      <Credentials />
    </section>
  );
}
