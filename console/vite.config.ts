import { defineConfig } from "vite";

export default defineConfig({
  root: import.meta.dirname,
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
  build: {
    target: "es2022",
    // Files inside the page would need a policy that allows them.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
});
