// An answer in numbers: those of its usage block, and the times that this page measured.
import { count, duration, rate } from "../parts/numbers.ts";
import { isOver, type Run } from "./run.ts";

/** Tokens of the answer's text for each second of the whole request. */
export const tokensPerSecond = (run: Run): number | null =>
  run.usage && run.ms ? run.usage.anabranch.visible_tokens / (run.ms / 1_000) : null;

/** Without putting the text together in every frame. */
function lengthOf({ answer: { parts } }: Run): number {
  const texts = parts.flatMap((part): { text: string }[] =>
    part.kind === "serial"
      ? [part]
      : part.branches.filter(({ accepted, void: no }) => accepted && !no),
  );
  return texts.reduce((sum, { text }) => sum + text.length, 0);
}

function figuresOf(run: Run): [label: string, value: string, hint?: string][] {
  const { usage, firstTextMs } = run;
  const first: [string, string, string][] =
    firstTextMs === null
      ? []
      : [["First text", duration(firstTextMs), "Since the request was sent"]];
  if (!usage) {
    const branches = run.answer.stages.flatMap((stage) => stage.branches);
    return [
      ["Time", duration(run.elapsed)],
      ["Characters", count(lengthOf(run))],
      isOver(run.status.value)
        ? ["Branches", count(branches.length)]
        : ["Branches open", count(branches.filter(({ closed }) => !closed).length)],
      ...first,
    ];
  }
  const { visible_tokens: visible, steps, branches, cached_tokens: cached } = usage.anabranch;
  return [
    ["Tokens", count(visible), "Of the answer's text"],
    ["Steps", count(steps), "Decode steps; each writes a token in every open branch"],
    ["Tokens a step", rate(visible / Math.max(1, steps))],
    ["Time", duration(run.elapsed), "From the request to the end of the answer"],
    ["Tokens/s", rate(tokensPerSecond(run) ?? 0)],
    ...first,
    ["Branches", count(branches)],
    ...(cached > 0
      ? [
          ["Prompt cached", count(cached), "Prompt tokens that were not computed again"] as [
            string,
            string,
            string,
          ],
        ]
      : []),
  ];
}

function badgesOf(run: Run): string[] {
  const dropped = run.usage?.anabranch.dropped_plans ?? [];
  return [
    ...(run.mode ? [`mode ${run.mode}`] : []),
    ...(run.cache === "hit" ? ["answered from the cache: times are not those of decoding"] : []),
    ...(run.answer.finishReason === "length" ? ["cut at max. tokens"] : []),
    ...(dropped.length > 0 ? ["a plan opened no branches"] : []),
    ...(run.status.value === "stopped" ? ["stopped"] : []),
  ];
}

export function Figures({ run }: { run: Run }) {
  const frame = run.frame.value;
  if (run.status.value === "waiting") return null;
  return (
    <div class="figures" data-frame={frame}>
      <dl>
        {figuresOf(run).map(([label, value, hint]) => (
          <div key={label} title={hint}>
            <dt>{label}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
      <p class="badges">
        {badgesOf(run).map((badge) => (
          <span key={badge} class="badge">
            {badge}
          </span>
        ))}
      </p>
    </div>
  );
}
