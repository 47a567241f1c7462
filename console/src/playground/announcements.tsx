// What a screen reader says of a growing answer: each part once, when it is whole, in document order.
import type { Part } from "@anabranch/shared/lane-answer.ts";
import { isOver, type Run } from "./run.ts";

/** The parts that are whole and have only whole ones before them. */
function wholeParts(parts: readonly Part[], over: boolean): string[] {
  const said: string[] = [];
  for (const [index, part] of parts.entries()) {
    if (part.kind === "serial") {
      if (!over && index === parts.length - 1) return said;
      said.push(part.text);
      continue;
    }
    const branches = part.branches.filter(({ void: no }) => !no);
    for (const [place, { title, text, closed, accepted }] of branches.entries()) {
      if (!over && !(closed && accepted)) return said;
      const name = title && !text.trimStart().startsWith(title) ? `, ${title}` : "";
      said.push(`Branch ${place + 1} of ${branches.length}${name}: ${text}`);
    }
  }
  return said;
}

const ends: Record<string, string> = {
  done: "The answer is complete.",
  stopped: "Stopped.",
  failed: "The answer failed.",
};

export function Announcements({ run }: { run: Run }) {
  const structure = run.structure.value;
  const status = run.status.value;
  const said = wholeParts(run.answer.parts, isOver(status));
  return (
    <div
      class="sr-only"
      role="log"
      aria-live="polite"
      aria-label="The answer in order"
      data-structure={structure}
    >
      {said.map((text, index) => (
        <p key={index}>{text.replaceAll("**", "")}</p>
      ))}
      {isOver(status) && <p>{ends[status]}</p>}
    </div>
  );
}
