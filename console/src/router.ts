// Where one is: `#/page?name=value`. A reload and the browser's back button keep it.
import { computed, signal } from "@preact/signals";

export const pages = [
  ...(["playground", "mine", "pool", "upstreams", "usage"] as const),
  ...(["tenants", "keys", "audit", "api"] as const),
] as const;
export type Page = (typeof pages)[number];

const hash = signal(location.hash);
addEventListener("hashchange", () => {
  hash.value = location.hash;
});

const parts = computed(() => hash.value.replace(/^#\/?/, "").split("?"));

export const page = computed<Page>(() => {
  const [name] = parts.value;
  return pages.find((each) => each === name) ?? "playground";
});

/** The page's own settings. */
export const query = computed(() => new URLSearchParams(parts.value[1] ?? ""));

export const hrefOf = (name: Page): string => `#/${name}`;

/** Changes settings of the page. Values that are null are left out. */
export function setQuery(changes: Record<string, string | null>): void {
  const next = new URLSearchParams(query.value);
  for (const [name, value] of Object.entries(changes)) {
    if (value === null) next.delete(name);
    else next.set(name, value);
  }
  const text = next.toString();
  location.hash = `#/${page.value}${text === "" ? "" : `?${text}`}`;
}
