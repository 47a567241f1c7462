// Three kinds of chart as SVG.

export interface Bar {
  label: string;
  value: number;
  /** The value as text. */
  shown: string;
}

const color = "#2a6f97";
const font = 'font-family="system-ui, sans-serif" font-size="13"';
const xml = (text: string) => text.replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`);
const svg = (title: string, width: number, height: number, inside: readonly string[]) =>
  `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" ${font}>
<title>${xml(title)}</title>
${inside.join("\n")}
</svg>`;

/** Horizontal bars from zero, one per line. */
export function barChart(title: string, bars: readonly Bar[]): string {
  const [line, labels, width] = [24, 280, 860];
  const max = Math.max(...bars.map(({ value }) => value), 1e-9);
  const inside = bars.map(({ label, value, shown }, i) => {
    const length = (Math.max(0, value) / max) * (width - labels - 80);
    const base = i * line + 16;
    return `<text x="${labels - 8}" y="${base}" text-anchor="end">${xml(label.slice(0, 44))}</text>
<rect x="${labels}" y="${i * line + 3}" width="${length.toFixed(1)}" height="${line - 6}" fill="${color}"/>
<text x="${(labels + length + 6).toFixed(1)}" y="${base}">${xml(shown)}</text>`;
  });
  return svg(title, width, Math.max(1, bars.length) * line + 4, inside);
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
  return svg(`${yTitle} by ${xTitle}`, width, height, [
    ...lines,
    ...bars,
    `<text x="${(left + width) / 2}" y="${height - 6}" text-anchor="middle">${xml(xTitle)}</text>`,
    `<text x="0" y="${top + 4}">${xml(yTitle)}</text>`,
  ]);
}

export interface Dot {
  /** Both from 0 to 1. */
  x: number;
  y: number;
  /** The dot's area is proportional to it. */
  size: number;
  label: string;
}

/** Dots in the unit square, with its diagonal. */
export function dotChart(dots: readonly Dot[], xTitle: string, yTitle: string): string {
  const [side, left, top, bottom] = [380, 60, 24, 48];
  const x = (value: number) => (left + value * side).toFixed(1);
  const y = (value: number) => (top + (1 - value) * side).toFixed(1);
  const largest = Math.max(...dots.map(({ size }) => size), 1);
  const marks = [0, 0.2, 0.4, 0.6, 0.8, 1].map(
    (value) => `<line x1="${left}" x2="${x(1)}" y1="${y(value)}" y2="${y(value)}" stroke="#ddd"/>
<text x="${left - 6}" y="${y(value)}" text-anchor="end">${value}</text>
<text x="${x(value)}" y="${top + side + 16}" text-anchor="middle">${value}</text>`,
  );
  const circles = dots.map(
    ({ x: at, y: high, size, label }) =>
      `<circle cx="${x(at)}" cy="${y(high)}" r="${(3 + 11 * Math.sqrt(size / largest)).toFixed(1)}" fill="${color}" fill-opacity="0.75"><title>${xml(label)}</title></circle>`,
  );
  return svg(`${yTitle} by ${xTitle}`, left + side + 30, top + side + bottom, [
    ...marks,
    `<line x1="${x(0)}" y1="${y(0)}" x2="${x(1)}" y2="${y(1)}" stroke="#999" stroke-dasharray="4 4"/>`,
    ...circles,
    `<text x="${x(0.5)}" y="${top + side + 38}" text-anchor="middle">${xml(xTitle)}</text>`,
    `<text x="0" y="14">${xml(yTitle)}</text>`,
  ]);
}
