/** The credential of an `Authorization: Bearer …` header, or else of `x-api-key`; null if there is none. */
export function bearer(request: Request): string | null {
  const header = request.headers.get("authorization");
  if (header === null) return request.headers.get("x-api-key");
  return /^bearer\s+(\S+)$/i.exec(header)?.[1] ?? null;
}
