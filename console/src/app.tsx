// The console's frame: who one is, where one is, and the page.
import type { FunctionComponent } from "preact";
import { AuditPage } from "./keys/audit-page.tsx";
import { KeysPage } from "./keys/keys-page.tsx";
import { Mark } from "./parts/mark.tsx";
import { Playground } from "./playground/playground.tsx";
import { PoolPage } from "./pool/pool-page.tsx";
import { hrefOf, type Page, page } from "./router.ts";
import { admin, key, signedIn, signOut } from "./session.ts";
import { NeedsCredential, SignIn } from "./sign-in.tsx";
import { ThemeSwitch } from "./theme.tsx";
import { UsagePage } from "./usage/usage-page.tsx";

interface Place {
  title: string;
  /** The operator's credential opens it; else an API key does. */
  operator: boolean;
  show: FunctionComponent;
}

const places: Record<Page, Place> = {
  playground: { title: "Playground", operator: false, show: Playground },
  pool: { title: "Pool", operator: true, show: PoolPage },
  usage: { title: "Usage", operator: true, show: UsagePage },
  keys: { title: "Keys", operator: true, show: KeysPage },
  audit: { title: "Audit", operator: true, show: AuditPage },
};

function Header() {
  return (
    <header class="bar">
      <a class="brand" href={hrefOf("playground")} aria-label="Anabranch">
        <Mark />
        <span>Anabranch</span>
      </a>
      {signedIn.value && (
        <nav aria-label="Pages">
          {Object.entries(places).map(([name, { title }]) => (
            <a
              key={name}
              href={hrefOf(name as Page)}
              aria-current={page.value === name ? "page" : undefined}
            >
              {title}
            </a>
          ))}
        </nav>
      )}
      <div class="bar-end">
        <ThemeSwitch />
        {signedIn.value && (
          <button type="button" class="quiet" onClick={signOut}>
            Sign out
          </button>
        )}
      </div>
    </header>
  );
}

export function App() {
  const { title, operator, show: Show } = places[page.value];
  const open = operator ? admin.value !== "" : key.value !== "";
  document.title = `${signedIn.value ? title : "Sign in"} · Anabranch`;
  return (
    <>
      <button type="button" class="skip" onClick={() => document.getElementById("main")?.focus()}>
        Skip to the page
      </button>
      <Header />
      <main id="main" tabIndex={-1} class={`page page-${page.value}`}>
        {!signedIn.value ? <SignIn /> : open ? <Show /> : <NeedsCredential operator={operator} />}
      </main>
    </>
  );
}
