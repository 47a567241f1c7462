import { describe, expect, it } from "vitest";
import { ApiError, asApiError } from "./api-error.ts";

describe("what a client sees of an error", () => {
  it("is an error of ours as it is", () => {
    const error = new ApiError(418, "A teapot.", { code: "teapot" });
    expect(asApiError(error)).toBe(error);
  });

  it("says when storage failed, whoever told so", () => {
    const ofObject = new Error("database or disk is full: SQLITE_FULL");
    const ofD1 = new Error("Failed query", { cause: new Error("internal error; reference = abc") });
    for (const error of [ofObject, ofD1]) {
      expect(asApiError(error)).toMatchObject({
        ...{ status: 503, code: "storage_unavailable" },
        headers: { "retry-after": "30" },
      });
    }
  });

  it("says nothing of other faults", () => {
    for (const error of [new Error("a secret"), new TypeError("of x"), "a text", null]) {
      const { status, message, code } = asApiError(error);
      expect([status, code]).toEqual([500, "internal_error"]);
      expect(message).toBe("The gateway failed while it processed the request.");
    }
  });
});
