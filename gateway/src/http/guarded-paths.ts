/** Who may call a route. */
export type Access = "public" | "tenant" | "operator";

/** Paths that need a credential. Everything else is public. */
export const guardedPaths: Record<Exclude<Access, "public">, string> = {
  tenant: "/v1/",
  operator: "/admin/",
};
