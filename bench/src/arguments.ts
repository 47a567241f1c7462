/** A whole number given to an option; throws an Error that names it. */
export function whole(name: string, text: string, low: number, high: number): number {
  const value = Number(text);
  if (text.trim() !== "" && Number.isInteger(value) && value >= low && value <= high) return value;
  throw new Error(`--${name} must be a whole number from ${low} to ${high}, not ${text}`);
}
