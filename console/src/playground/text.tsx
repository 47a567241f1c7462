// A model's text. Its Markdown for bold, headings and code is shown as such; the signs stay in the text, unseen.
import { memo } from "preact/compat";

const pattern = /(\*\*[^*\n]+\*\*|`[^`\n]+`|^#{1,6} [^\n]*$)/m;

function Piece({ text }: { text: string }) {
  const [, marks = ""] = /^(\*\*|`|#{1,6} )/.exec(text) ?? [];
  const ends = !marks.startsWith("#");
  const inner = ends ? text.slice(marks.length, -marks.length) : text.slice(marks.length);
  const shown = (
    <>
      <span class="sign">{marks}</span>
      {inner}
      {ends && <span class="sign">{marks}</span>}
    </>
  );
  return marks === "`" ? <code>{shown}</code> : <strong>{shown}</strong>;
}

export const Text = memo(({ text }: { text: string }) => (
  <>
    {text
      .split(pattern)
      .map((piece, index) => (index % 2 === 0 ? piece : <Piece key={index} text={piece} />))}
  </>
));
