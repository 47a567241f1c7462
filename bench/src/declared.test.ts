import { describe, expect, it } from "vitest";
import { caseFigures, type Measured, wayFigures } from "./declared-figures.ts";

const run = (ms: number, texts = ["a", "b"], computed = 100): Measured => ({
  ...{ ms, firstAnswerMs: ms / 4, texts, computed },
});

describe("declared branches beside separate requests", () => {
  it("are compared run by run, so that a slow moment of the machine slows both", () => {
    const figures = caseFigures(
      2,
      500,
      {
        declared: [run(1_000), run(4_000), run(2_000)],
        sequential: [run(3_000), run(12_000), run(8_000)],
        concurrent: [run(1_500), run(4_000), run(2_000)],
      },
      { sequential: [run(9_000)], concurrent: [run(5_000, ["c", "d"])] },
    );
    expect(figures).toMatchObject({
      ...{ questions: 2, context: 500, over_sequential: 3, over_concurrent: 1, equal: true },
      here: { declared: { seconds: 2, first_answer_seconds: 0.5, computed_tokens: 100 } },
      llama_cpp: { sequential: { seconds: 9 }, concurrent: { seconds: 5 } },
    });
  });

  it("are unequal if any answer differs", () => {
    const of = (texts: string[]) =>
      caseFigures(
        2,
        500,
        { declared: [run(1)], sequential: [run(1)], concurrent: [run(1, texts)] },
        null,
      );
    expect(of(["a", "b"])).toMatchObject({ equal: true, llama_cpp: null });
    expect(of(["a", "c"]).equal).toBe(false);
    expect(of(["ab", ""]).equal).toBe(false);
  });

  it("have medians of their runs", () => {
    expect(wayFigures([run(3_000), run(1_000), run(2_000)]).seconds).toBe(2);
  });
});
