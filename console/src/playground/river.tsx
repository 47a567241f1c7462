// An answer as the river that it is: the trunk, where it parts, branches side by side, where they join, the trunk.
import type { Branch, Part } from "@anabranch/shared/lane-answer.ts";
import { memo } from "preact/compat";
import { isOver, type Run } from "./run.ts";
import { Text } from "./text.tsx";

/** Lines from one point on the left to the left edges of `count` columns, or back. */
const Lines = memo(({ count, join = false }: { count: number; join?: boolean }) => (
  <svg
    class={`lines ${join ? "lines-join" : "lines-fork"}`}
    viewBox={`0 0 ${count} 1`}
    preserveAspectRatio="none"
    aria-hidden="true"
  >
    {Array.from({ length: count }, (_, column) => (
      <path key={column} d={`M0 0C0 .62 ${column} .38 ${column} 1`} />
    ))}
  </svg>
));

const endings: Record<string, string> = { cap: "cut at its limit", stop: "ended at a stop string" };

/** What is not plain to see. */
function remarkOn({ accepted, closed, reason }: Branch): string | undefined {
  if (!accepted) return closed ? "waits to be read" : "ahead of the trunk";
  return closed ? endings[reason ?? ""] : undefined;
}

interface ColumnProps {
  title: string;
  /** The text may begin with the title: then it is not shown twice. */
  opens: boolean;
  text: string;
  closed: boolean;
  accepted: boolean;
  remark: string | undefined;
  place: number;
  of: number;
}

const Column = memo((props: ColumnProps) => {
  const { title, opens, text, closed, accepted, remark, place, of } = props;
  const begins = opens && text.trimStart().startsWith(title);
  return (
    <section
      class={`branch${closed ? "" : " open"}${accepted ? "" : " ahead"}`}
      aria-label={`Branch ${place} of ${of}: ${title}`}
    >
      <header>
        <h3 class={begins && text !== "" ? "sr-only" : ""}>{title}</h3>
        {remark && <span class="remark">{remark}</span>}
      </header>
      <div class="branch-text">
        <Text text={text} />
      </div>
    </section>
  );
});

interface StageProps {
  part: Extract<Part, { kind: "stage" }>;
  /** Of the whole answer. */
  over: boolean;
  /** The branches are those of the request: their titles are not in their texts. */
  declared: boolean;
}

function StageView({ part, over, declared }: StageProps) {
  const branches = part.branches.filter(({ void: no }) => !no);
  const count = branches.length;
  if (count === 0) return null;
  const state = part.closed ? "stage closed" : "stage";
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls is reached by keyboard
    <section class={state} tabIndex={0} aria-label={`${count} branches, side by side`}>
      <div class="stage-columns" style={{ "--columns": `${count}` }}>
        <Lines count={count} />
        {branches.map((branch, index) => (
          <Column
            key={branch.lane}
            title={branch.title ?? ""}
            opens={!declared}
            text={branch.text}
            closed={branch.closed || over}
            accepted={branch.accepted}
            remark={remarkOn(branch)}
            place={index + 1}
            of={count}
          />
        ))}
        {part.closed && <Lines count={count} join />}
      </div>
    </section>
  );
}

/** After its join a stage stays as it is, until the end of the answer says what of it is void. */
const Stage = memo(
  StageView,
  (before, now) => before.part.closed && now.part.closed && before.over === now.over,
);

export function River({ run }: { run: Run }) {
  const frame = run.frame.value;
  const isRunning = run.status.value === "running";
  const over = isOver(run.status.value);
  const declared = run.request.anabranch?.branches !== undefined;
  const { parts } = run.answer;
  const last = parts.at(-1);
  // Between a fork and its join nothing is written in the trunk.
  const inTrunk = last?.kind !== "stage" || last.closed;
  return (
    <div class={`river${isRunning && inTrunk ? " flowing" : ""}`} data-frame={frame}>
      {parts.map((part, index) =>
        part.kind === "stage" ? (
          <Stage key={`stage ${part.stage}`} part={part} over={over} declared={declared} />
        ) : (
          <div key={index} class="trunk">
            <Text text={part.text} />
          </div>
        ),
      )}
      {parts.length === 0 && isRunning && <p class="trunk muted">Reading the prompt …</p>}
      {run.status.value === "waiting" && <p class="trunk muted">Waits for its turn.</p>}
    </div>
  );
}
