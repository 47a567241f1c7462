// Arrays in request bodies: bounded, and validated up to their first fault. Zod's own arrays go on after some
// kinds of faults, which takes seconds for a million of them.
import { z } from "@hono/zod-openapi";

interface ListDef extends z.core.$ZodArrayDef {
  most: number;
}

interface ListSchema extends z.ZodArray<z.ZodType> {
  _zod: z.ZodArray<z.ZodType>["_zod"] & { def: ListDef };
}

const List = z.core.$constructor<ListSchema, ListDef>("List", (inst, def) => {
  z.ZodArray.init(inst, def);
  inst._zod.parse = (payload, context) => {
    const input: unknown = payload.value;
    if (!Array.isArray(input)) {
      payload.issues.push({ code: "invalid_type", expected: "array", input, inst });
      return payload;
    }
    if (input.length > def.most) {
      const message = `at most ${def.most} are allowed`;
      payload.issues.push({ code: "custom", message, input, inst });
      return payload;
    }
    const output = new Array<unknown>(input.length);
    payload.value = output;
    for (const [index, value] of input.entries()) {
      const result = def.element._zod.run({ value, issues: [] }, context);
      if (result instanceof Promise) throw new z.core.$ZodAsyncError();
      if (result.issues.length > 0) {
        payload.issues.push(...z.core.util.prefixIssues(index, result.issues));
        return payload;
      }
      output[index] = result.value;
    }
    return payload;
  };
});

/** An array of at most `most` elements. */
export const list = <Element extends z.ZodType>(element: Element, most: number) =>
  new List({ type: "array", element, most }) as unknown as z.ZodArray<Element>;
