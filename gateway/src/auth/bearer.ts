/** The credential of an `Authorization: Bearer …` header, else null. */
export function bearer(request: Request): string | null {
  const header = request.headers.get("authorization") ?? "";
  return /^bearer\s+(\S+)$/i.exec(header)?.[1] ?? null;
}
