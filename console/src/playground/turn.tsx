import { CopyButton } from "../parts/copy-button.tsx";
import { ErrorNote } from "../parts/notes.tsx";
import { Announcements } from "./announcements.tsx";
import { retry, type Turn } from "./conversation.ts";
import { Figures } from "./figures.tsx";
import { Race } from "./race.tsx";
import { RequestDetails } from "./request-details.tsx";
import { River } from "./river.tsx";
import { isOver } from "./run.ts";
import { settings } from "./settings.ts";

function Asked({ turn: { question } }: { turn: Turn }) {
  return (
    <div class="asked">
      {question.prompt !== "" && <p>{question.prompt}</p>}
      {question.branches.length > 0 && (
        <ul>
          {question.branches.map(({ title, content }) => (
            <li key={title}>
              <strong>{title}</strong> {content}
            </li>
          ))}
        </ul>
      )}
    </div>
  );
}

export function TurnView({ turn, last }: { turn: Turn; last: boolean }) {
  const [run] = turn.runs;
  if (!run) return null;
  const isRace = turn.runs.length > 1;
  const over = turn.runs.every(({ status }) => isOver(status.value));
  return (
    <article class="turn" aria-label={`Question ${turn.id + 1}`}>
      <Asked turn={turn} />
      {isRace ? (
        <Race runs={turn.runs} together={settings.value.together} />
      ) : (
        <>
          <River run={run} />
          <Announcements run={run} />
          {run.problem && <ErrorNote message={run.problem} {...(last ? { retry } : {})} />}
          <Figures run={run} />
        </>
      )}
      <div class="turn-foot">
        {over && last && (
          <button type="button" class="quiet" onClick={() => void retry()}>
            {isRace ? "Race again" : "Retry"}
          </button>
        )}
        {over && <CopyButton label="Copy text" text={() => turn.runs.at(-1)?.answer.text ?? ""} />}
        {turn.runs.map((each) => (
          <RequestDetails key={each.request.anabranch?.mode} run={each} named={isRace} />
        ))}
      </div>
    </article>
  );
}
