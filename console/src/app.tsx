// The console's frame: who one is, where one is, and the page.
import type { FunctionComponent } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { AuditPage } from "./keys/audit-page.tsx";
import { KeysPage } from "./keys/keys-page.tsx";
import { Mark } from "./parts/mark.tsx";
import { Playground } from "./playground/playground.tsx";
import { PoolPage } from "./pool/pool-page.tsx";
import { ReferencePage } from "./reference/reference-page.tsx";
import { hrefOf, type Page, page } from "./router.ts";
import { admin, key, signedIn, signOut } from "./session.ts";
import { NeedsCredential, SignIn } from "./sign-in.tsx";
import { TenantsPage } from "./tenants/tenants-page.tsx";
import { ThemeSwitch } from "./theme.tsx";
import { UpstreamsPage } from "./upstreams/upstreams-page.tsx";
import { OwnUsagePage } from "./usage/own-usage-page.tsx";
import { UsagePage } from "./usage/usage-page.tsx";

interface Place {
  title: string;
  /** What opens it; null: everybody sees it. */
  opens: "key" | "operator" | null;
  show: FunctionComponent;
}

const places: Record<Page, Place> = {
  playground: { title: "Playground", opens: "key", show: Playground },
  mine: { title: "My usage", opens: "key", show: OwnUsagePage },
  pool: { title: "Pool", opens: "operator", show: PoolPage },
  upstreams: { title: "Upstreams", opens: "operator", show: UpstreamsPage },
  usage: { title: "Usage", opens: "operator", show: UsagePage },
  tenants: { title: "Tenants", opens: "operator", show: TenantsPage },
  keys: { title: "Keys", opens: "operator", show: KeysPage },
  audit: { title: "Audit", opens: "operator", show: AuditPage },
  api: { title: "API", opens: null, show: ReferencePage },
};

/** Those that whoever is here may see. */
const shownPlaces = () =>
  Object.entries(places).filter(([, { opens }]) => signedIn.value || opens === null);

function Header() {
  const pages = useRef<HTMLElement>(null);
  const at = page.value;
  // Where the pages' names scroll, the one that is shown is in view.
  useEffect(() => {
    const { current: nav } = pages;
    const link = at && nav?.querySelector<HTMLElement>("[aria-current]");
    if (nav && link) nav.scrollLeft = link.offsetLeft - (nav.clientWidth - link.offsetWidth) / 2;
  }, [at]);
  return (
    <header class="bar">
      <a class="brand" href={hrefOf("playground")} aria-label="Anabranch">
        <Mark />
        <span>Anabranch</span>
      </a>
      <nav ref={pages} aria-label="Pages">
        {shownPlaces().map(([name, { title }]) => (
          <a key={name} href={hrefOf(name as Page)} aria-current={at === name ? "page" : undefined}>
            {title}
          </a>
        ))}
      </nav>
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
  const { title, opens, show: Show } = places[page.value];
  const operator = opens === "operator";
  const open = opens === null || (operator ? admin.value !== "" : key.value !== "");
  const shown = signedIn.value || opens === null;
  document.title = `${shown ? title : "Sign in"} · Anabranch`;
  return (
    <>
      <button type="button" class="skip" onClick={() => document.getElementById("main")?.focus()}>
        Skip to the page
      </button>
      <Header />
      <main id="main" tabIndex={-1} class={`page page-${page.value}`}>
        {!shown ? <SignIn /> : open ? <Show /> : <NeedsCredential operator={operator} />}
      </main>
    </>
  );
}
