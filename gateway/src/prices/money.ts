// Amounts of money: whole millionths of the currency's unit inside, decimal texts such as "0.15" outside. No floats.
import { z } from "@hono/zod-openapi";

const perUnit = 1_000_000;

/** An amount in a request: at most `digits` digits before the point, and six after it. */
export const amount = (digits: number) =>
  z
    .string()
    .regex(
      new RegExp(`^\\d{1,${digits}}(\\.\\d{1,6})?$`),
      `an amount such as "2.50", with at most ${digits} digits before the point and 6 after it`,
    );

/** In millionths. `text` is an `amount`. */
export function microsOf(text: string): number {
  const [whole = "0", fraction = ""] = text.split(".");
  return Number(whole) * perUnit + Number(fraction.padEnd(6, "0"));
}

/** Of a whole number of millionths: "0", "0.000015", "2.5". */
export function amountOf(micros: number): string {
  const fraction = String(micros % perUnit)
    .padStart(6, "0")
    .replace(/0+$/, "");
  const whole = String(Math.floor(micros / perUnit));
  return fraction === "" ? whole : `${whole}.${fraction}`;
}
