// What the classifier says of the prompt while one writes it.
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { api, bodyOf, type Schemas } from "../api/client.ts";
import { decimals } from "../parts/numbers.ts";
import { declares, prompt } from "./draft.ts";

/** How long one must not have written before it is asked. */
const pauseMs = 400;

interface Opinion {
  threshold: number;
  of: Schemas["Classification"];
}

async function opinionOf(input: string): Promise<Opinion | null> {
  const { threshold, data } = await bodyOf(api.POST("/v1/classify", { body: { input } }));
  const [of] = data;
  return of ? { threshold, of } : null;
}

function useOpinion(text: string) {
  const opinion = useSignal<Opinion | null>(null);
  useEffect(() => {
    if (text === "") {
      opinion.value = null;
      return;
    }
    let over = false;
    const timer = setTimeout(async () => {
      // Nothing depends on it: a key that is not for this, or is at its limit, shows none.
      const found = await opinionOf(text).catch(() => null);
      if (!over) opinion.value = found;
    }, pauseMs);
    return () => {
      over = true;
      clearTimeout(timer);
    };
  }, [text, opinion]);
  return opinion.value;
}

const percent = (share: number) => `${Math.round(100 * share)}%`;

export function OpinionView() {
  const opinion = useOpinion(declares.value ? "" : prompt.value.trim());
  if (!opinion) return null;
  const { threshold, of } = opinion;
  const { probability, speedup, mode, abstains, reasons } = of;
  return (
    <section class="opinion" aria-label="What the classifier says">
      <p>
        <strong>{abstains ? "No opinion: an unknown language." : `auto is ${mode} here.`}</strong>{" "}
        {percent(probability)} that a good answer is a list; from {percent(threshold)} on, auto lets
        it branch. Expected: {decimals(speedup)} tokens a step.
      </p>
      <div
        class="meter"
        role="img"
        aria-label={`${percent(probability)}, threshold ${percent(threshold)}`}
      >
        <span class="meter-fill" style={{ width: percent(probability) }} />
        <span class="meter-mark" style={{ left: percent(threshold) }} />
      </div>
      {reasons.length > 0 && (
        <ul class="reasons">
          {reasons.map(({ cue, weight }) => (
            <li key={cue} class={weight > 0 ? "for" : "against"}>
              {cue}{" "}
              <b>{weight > 0 ? `+${decimals(weight)}` : decimals(weight).replace("-", "−")}</b>
            </li>
          ))}
        </ul>
      )}
    </section>
  );
}
