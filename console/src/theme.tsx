import { computed, effect, signal } from "@preact/signals";
import { stored } from "./stored.ts";

type Theme = "auto" | "light" | "dark";

const theme = stored<Theme>("anabranch.theme", "auto", localStorage);

effect(() => {
  if (theme.value === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme.value;
});

const dark = matchMedia("(prefers-color-scheme: dark)");
const systemIsDark = signal(dark.matches);
dark.addEventListener("change", () => {
  systemIsDark.value = dark.matches;
});

/** What is seen, for those who draw by themselves. */
export const themeName = computed(() =>
  theme.value === "auto" ? (systemIsDark.value ? "dark" : "light") : theme.value,
);

const next: Record<Theme, Theme> = { auto: "light", light: "dark", dark: "auto" };
const label: Record<Theme, string> = { auto: "Auto", light: "Light", dark: "Dark" };

/** Light, dark, or as the system has it. */
export function ThemeSwitch() {
  return (
    <button
      type="button"
      class="quiet"
      title="Light, dark, or as your system has it"
      onClick={() => {
        theme.value = next[theme.value];
      }}
    >
      <span class="sr-only">Colours: </span>
      {label[theme.value]}
    </button>
  );
}
