// The parameter of reports that says where hours and days begin.
import { z } from "@hono/zod-openapi";

export const utcOffset = z.coerce
  .number()
  .int()
  .min(-840)
  .max(840)
  .default(0)
  .openapi({ description: "Minutes east of UTC: where hours and days begin" });
