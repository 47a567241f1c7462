// Rows as CSV, with the names of the first row's fields as its head.

const cell = (value: unknown): string => {
  const text = value === null || value === undefined ? "" : String(value);
  return /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
};

function csv(rows: readonly Record<string, unknown>[]): string {
  const columns = Object.keys(rows[0] ?? {});
  const lines = rows.map((row) => columns.map((name) => cell(row[name])).join(","));
  return `${[columns.join(","), ...lines].join("\n")}\n`;
}

export function csvResponse(rows: readonly Record<string, unknown>[]): Response {
  return new Response(csv(rows), { headers: { "content-type": "text/csv; charset=utf-8" } });
}
