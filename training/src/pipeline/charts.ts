// Two kinds of chart as SVG.

export interface Bar {
  label: string;
  value: number;
  /** The value as text. */
  shown: string;
}

const color = "#2a6f97";
const font = 'font-family="system-ui, sans-serif" font-size="13"';
const xml = (text: string) => text.replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`);
const svg = (width: number, height: number, inside: readonly string[]) =>
  `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" ${font}>
${inside.join("\n")}
</svg>`;

/** Horizontal bars from zero, one per line. */
export function barChart(bars: readonly Bar[]): string {
  const [line, labels, width] = [24, 280, 860];
  const max = Math.max(...bars.map(({ value }) => value), 1e-9);
  const inside = bars.map(({ label, value, shown }, i) => {
    const length = (Math.max(0, value) / max) * (width - labels - 80);
    const base = i * line + 16;
    return `<text x="${labels - 8}" y="${base}" text-anchor="end">${xml(label.slice(0, 44))}</text>
<rect x="${labels}" y="${i * line + 3}" width="${length.toFixed(1)}" height="${line - 6}" fill="${color}"/>
<text x="${(labels + length + 6).toFixed(1)}" y="${base}">${xml(shown)}</text>`;
  });
  return svg(width, Math.max(1, bars.length) * line + 4, inside);
}

/** A histogram; every second column is labelled. */
export function columnChart(
  columns: readonly { label: string; value: number }[],
  xTitle: string,
  yTitle: string,
): string {
  const [width, height, left, bottom, top] = [860, 300, 60, 44, 14];
  const max = Math.max(...columns.map(({ value }) => value), 1);
  const step = (width - left) / Math.max(1, columns.length);
  const scale = (height - bottom - top) / max;
  const base = height - bottom;
  const bars = columns.map(({ label, value }, i) => {
    const x = left + i * step;
    const name =
      i % 2 === 0 ? `<text x="${x.toFixed(1)}" y="${base + 16}">${xml(label)}</text>` : "";
    return `<rect x="${(x + 1).toFixed(1)}" y="${(base - value * scale).toFixed(1)}" width="${(step - 2).toFixed(1)}" height="${(value * scale).toFixed(1)}" fill="${color}"><title>${xml(label)}: ${value}</title></rect>${name}`;
  });
  const lines = [0, max / 2, max].map((value) => {
    const y = (base - value * scale).toFixed(1);
    return `<line x1="${left}" x2="${width}" y1="${y}" y2="${y}" stroke="#ddd"/>
<text x="${left - 6}" y="${y}" text-anchor="end">${Math.round(value)}</text>`;
  });
  return svg(width, height, [
    ...lines,
    ...bars,
    `<text x="${(left + width) / 2}" y="${height - 6}" text-anchor="middle">${xml(xTitle)}</text>`,
    `<text x="0" y="${top + 4}">${xml(yTitle)}</text>`,
  ]);
}
