export const version = "none";
export function classify(_question: string): "serial" | "parallel" {
  return "parallel";
}
