// The same prompt twice, serially and in branches, side by side, with what was measured.
import { decimals } from "../parts/numbers.ts";
import { Announcements } from "./announcements.tsx";
import { Figures, tokensPerSecond } from "./figures.tsx";
import { River } from "./river.tsx";
import { isOver, type Run } from "./run.ts";

const titles = ["Serial", "In branches"];

/** What the branches gained for each token of the text: texts of different lengths can be compared so. */
function ratiosOf(serial: Run, branched: Run): { speed: number; steps: number } | null {
  const [slow, fast] = [tokensPerSecond(serial), tokensPerSecond(branched)];
  if (!serial.usage || !branched.usage || !slow || !fast) return null;
  const perStep = ({ anabranch: { visible_tokens, steps } }: NonNullable<Run["usage"]>) =>
    visible_tokens / Math.max(1, steps);
  return { speed: fast / slow, steps: perStep(branched.usage) / perStep(serial.usage) };
}

function Verdict({ runs }: { runs: readonly Run[] }) {
  const [serial, branched] = runs;
  if (!serial || !branched) return null;
  const over = runs.every(({ status }) => isOver(status.value));
  const ratios = over ? ratiosOf(serial, branched) : null;
  if (!over) return <p class="verdict muted">Writing …</p>;
  if (!ratios) return <p class="verdict muted">Not both ended, so there is nothing to compare.</p>;
  const none = branched.usage?.anabranch.branches === 0;
  return (
    <p class="verdict" role="status">
      <strong class="ratio">{decimals(ratios.speed)}×</strong>
      <span>
        {none
          ? "the tokens per second. This answer did not branch: it has no independent parts, or the model does not branch."
          : "the tokens per second, in branches"}
        <small>{decimals(ratios.steps)}× the tokens per decode step</small>
      </span>
    </p>
  );
}

export function Race({ runs, together }: { runs: readonly Run[]; together: boolean }) {
  return (
    <div class="race">
      <Verdict runs={runs} />
      <div class="race-sides">
        {runs.map((run, side) => (
          <section key={titles[side]} class="side" aria-label={titles[side]}>
            <h2>{titles[side]}</h2>
            <Figures run={run} />
            {run.problem && (
              <p class="note note-error" role="alert">
                {run.problem}
              </p>
            )}
            <River run={run} />
            {side === 1 && <Announcements run={run} />}
          </section>
        ))}
      </div>
      {together && (
        <p class="muted small">
          Both run at the same time and share the pool. For times without company, uncheck “Race at
          the same time”.
        </p>
      )}
    </div>
  );
}
