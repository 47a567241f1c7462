// Where items of lists begin, and how likely a model finds that.
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { BeginningsReader, itemPlaces } from "./item-beginnings.ts";

const prompt = "Which colors are there?";
const body = (color: string) =>
  `${color} is a color that everybody likes to see on a very cold day in a long winter, when the sun is low.`;
const colors = ["Red", "Blue", "Grün", "Yellow"];
const response = `Here are some colors:\n\n${colors
  .map((color, i) => `${i + 1}. **${color}**: ${body(color)}`)
  .join("\n\n")}\n\nThat is all.`;
const bytes = (text: string) => Buffer.byteLength(text);

describe("the items of a list", () => {
  it("are found with their marks and bodies, but for the first", () => {
    const places = itemPlaces(prompt, response);
    const text = Buffer.from(response);
    expect(places.map(({ item, body }) => text.subarray(item, body).toString())).toEqual([
      "2. **Blue**:",
      "3. **Grün**:",
      "4. **Yellow**:",
    ]);
    expect(text.subarray(places[1]?.body, places[1]?.end).toString()).toContain(body("Grün"));
    expect(places[2]?.end).toBe(bytes(response) - bytes("That is all."));
    expect(itemPlaces(prompt, "Only red.")).toEqual([]);
  });

  it("are read with their likelihood", async () => {
    const model = fileURLToPath(new URL("../../../models/small", import.meta.url));
    const reader = await BeginningsReader.open(model, { dtype: "fp32", threads: 1 });
    try {
      const { marks, bodies } = await reader.read(prompt, response);
      expect([marks.length, bodies.length]).toEqual([3, 3]);
      for (const mark of marks) expect(mark > 0 && mark <= 1).toBe(true);
      for (const mean of bodies) expect(mean).toBeLessThan(0);
      // Items that say what the ones before say are less surprising.
      const again = response.replaceAll(/Blue is|Grün is|Yellow is/g, "Red is");
      const repeated = await reader.read(prompt, again);
      expect(Math.min(...repeated.bodies)).toBeGreaterThan(Math.min(...bodies));
      expect(await reader.read(prompt, "Only red.")).toEqual({ marks: [], bodies: [] });
    } finally {
      reader.close();
    }
  });
});
