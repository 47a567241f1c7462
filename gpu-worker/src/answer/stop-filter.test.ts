import { AnswerDocument } from "@anabranch/shared/answer-document.ts";
import { TokenLogprobSchema } from "@anabranch/shared/proto/anabranch/v1/lane_events_pb.js";
import { create } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { type Release, StopFilter } from "./stop-filter.ts";

/** Drives a document and collects what its filter releases, by lane. */
class Reader {
  readonly document = new AnswerDocument();
  readonly filter: StopFilter;
  readonly text = new Map<number, string>();
  constructor(stops: string[]) {
    this.filter = new StopFilter(this.document, stops);
  }
  add(lane: number, text: string): this {
    this.filter.append(lane, text, undefined);
    return this.take(this.filter.release());
  }
  open(...lanes: number[]): this {
    this.document.apply({ case: "stageOpened", value: { stage: 1, lanes, titles: [] } });
    return this;
  }
  outline(...lanes: number[]): this {
    const value = { stage: 1, lanes, titles: [], outlined: true };
    this.document.apply({ case: "stageOpened", value });
    return this;
  }
  accept(lane: number): this {
    this.document.apply({ case: "branchAccepted", value: { lane } });
    return this.take(this.filter.release());
  }
  drop(lane: number): this {
    this.document.apply({ case: "branchClosed", value: { lane, reason: 4 } });
    return this.take(this.filter.release());
  }
  close(lane: number): this {
    this.document.apply({ case: "branchClosed", value: { lane, reason: 1 } });
    return this.take(this.filter.release());
  }
  join(): this {
    this.document.apply({ case: "stageClosed", value: { stage: 1 } });
    return this;
  }
  end(): this {
    return this.take(this.filter.flush());
  }
  take(released: { lane: number; text: string }[]): this {
    for (const { lane, text } of released) this.text.set(lane, this.of(lane) + text);
    return this;
  }
  of(lane: number): string {
    return this.text.get(lane) ?? "";
  }
}

describe("without stop strings", () => {
  it("everything is released at once, in every lane", () => {
    const reader = new Reader([]).add(0, "a ").open(1, 2).add(2, "two").add(1, "one");
    expect([reader.of(0), reader.of(1), reader.of(2)]).toEqual(["a ", "one", "two"]);
    expect(reader.close(1).close(2).join().add(0, " end").end().of(0)).toBe("a  end");
    expect(reader.filter.visibleTokens).toBe(4);
  });
});

describe("a stop string", () => {
  it("cuts the text before itself and is never released in part", () => {
    const reader = new Reader(["STOP"]).add(0, "go ST");
    expect(reader.of(0)).toBe("go ");
    reader.add(0, "AY ST").add(0, "OP now");
    expect(reader.of(0)).toBe("go STAY ");
    expect(reader.filter.stopLane).toBe(0);
  });

  it("in a later branch waits for the earlier lanes and then ends the answer there", () => {
    const reader = new Reader(["END"]).open(1, 2, 3);
    reader.add(2, "b END b").add(3, "c");
    expect(reader.of(2)).toBe("b ");
    expect(reader.filter.stopLane).toBeUndefined();
    reader.add(1, "a").close(1);
    expect(reader.filter.stopLane).toBe(2);
    expect(reader.of(1)).toBe("a");
  });

  it("in an earlier branch wins over one found before it in a later branch", () => {
    const reader = new Reader(["END"]).open(1, 2);
    reader.add(2, "b END").add(1, "a END");
    expect(reader.filter.stopLane).toBe(1);
    expect(reader.of(1)).toBe("a ");
  });

  it("may span the boundary of two branches, and cuts the earlier one", () => {
    const reader = new Reader(["xy"]).open(1, 2).add(1, "ax");
    expect(reader.of(1)).toBe("a");
    reader.close(1);
    expect(reader.of(1)).toBe("a");
    reader.add(2, "yb");
    expect(reader.filter.stopLane).toBe(1);
    expect([reader.of(1), reader.of(2)]).toEqual(["a", ""]);
  });

  it("that could begin at the end of a branch is released when the next one continues otherwise", () => {
    const reader = new Reader(["xyz"]).open(1, 2).add(1, "ax").close(1).add(2, "y");
    expect([reader.of(1), reader.of(2)]).toEqual(["a", ""]);
    reader.close(2).join().add(0, "!");
    expect([reader.of(1), reader.of(2), reader.of(0)]).toEqual(["ax", "y", "!"]);
  });

  it("in an outlined branch ends the answer once the branch is accepted", () => {
    const reader = new Reader(["END"]).add(0, "a ").outline(2, 3).add(2, "b END b").add(3, "c");
    expect(reader.filter.stopLane).toBeUndefined();
    reader.add(0, "a").close(2);
    expect([reader.of(0), reader.of(2), reader.of(3)]).toEqual(["a a", "b ", "c"]);
    expect(reader.filter.stopLane).toBeUndefined();
    expect(reader.accept(2).filter.stopLane).toBe(2);
    expect(reader.filter.visibleTokens).toBe(3);
  });

  it("in a dropped branch is none, and may span it", () => {
    const reader = new Reader(["END"]).add(0, "a E").outline(2).add(2, "ENDb").drop(2).join();
    expect(reader.filter.stopLane).toBeUndefined();
    expect(reader.of(0)).toBe("a ");
    reader.add(0, "ND");
    expect(reader.filter.stopLane).toBe(0);
    expect(reader.of(0)).toBe("a ");
  });

  it("does not count lanes that ran ahead of it", () => {
    const reader = new Reader(["END"]).open(1, 2).add(2, "two").add(1, "one END");
    expect(reader.filter.visibleTokens).toBe(1);
  });

  it("that never completes is released at the end", () => {
    expect(new Reader(["STOP"]).add(0, "a STO").end().of(0)).toBe("a STO");
  });

  it("counts only the tokens whose text remains", () => {
    const reader = new Reader(["!"]).add(0, "one ").add(0, "two ").add(0, "x! ").add(0, "gone");
    expect(reader.of(0)).toBe("one two x");
    expect(reader.filter.visibleTokens).toBe(3);
  });
});

describe("cut at random places", () => {
  it("gives the same text as cutting the whole document at once", () => {
    // A small deterministic generator; every seed is a case.
    for (let seed = 1; seed <= 500; seed++) {
      let state = seed;
      const random = (n: number) => {
        state = (state * 1103515245 + 12345) % 2147483648;
        return Math.floor((state / 2147483648) * n);
      };
      const word = () => Array.from({ length: random(12) }, () => "ab"[random(2)]).join("");
      const stops = [word() || "a", word() || "bb"].map((stop) => stop.slice(0, 4));
      const texts = [word(), word(), word(), word()];
      const whole = texts.join("");
      const ends = stops
        .filter((stop) => whole.includes(stop))
        .map((stop) => ({ start: whole.indexOf(stop), end: whole.indexOf(stop) + stop.length }))
        .sort((a, b) => a.end - b.end || a.start - b.start);
      const want = whole.slice(0, ends[0]?.start);

      const reader = new Reader(stops);
      reader.add(0, texts[0] ?? "");
      const lanes = [1, 2, 3];
      if (reader.filter.stopLane === undefined) {
        reader.open(...lanes);
        const left = new Map(lanes.map((lane) => [lane, texts[lane] ?? ""]));
        while (left.size > 0 && reader.filter.stopLane === undefined) {
          const lane = [...left.keys()][random(left.size)] ?? 1;
          const text = left.get(lane) ?? "";
          if (text === "") {
            left.delete(lane);
            reader.close(lane);
          } else {
            const n = 1 + random(text.length);
            left.set(lane, text.slice(n));
            reader.add(lane, text.slice(0, n));
          }
        }
        reader.end();
      }
      const stopLane = reader.filter.stopLane ?? 3;
      const got = [0, ...lanes.filter((lane) => lane <= stopLane)]
        .map((l) => reader.of(l))
        .join("");
      expect(got, JSON.stringify({ seed, stops, texts })).toBe(want);
    }
  });
});

describe("log-probabilities", () => {
  const logprob = (tokenId: number) => create(TokenLogprobSchema, { tokenId });
  const ids = (released: Release[]) => released.flatMap((r) => r.logprobs.map((l) => l.tokenId));

  it("are released with the text of their tokens, and none after a stop string", () => {
    const filter = new StopFilter(new AnswerDocument(), ["STOP"]);
    for (const [id, text] of [" a", " ST", "AY", " S", "TOP x", " y"].entries()) {
      filter.append(0, text, logprob(id));
    }
    expect(ids(filter.release())).toEqual([0, 1, 2, 3]);
    expect(filter.visibleTokens).toBe(4);
  });

  it("of a character's first bytes go out with its last, or at the end", () => {
    const filter = new StopFilter(new AnswerDocument(), []);
    filter.append(0, "", logprob(0));
    expect(ids(filter.release())).toEqual([]);
    filter.append(0, "é", logprob(1));
    expect(ids(filter.release())).toEqual([0, 1]);
    filter.append(0, "", logprob(2));
    expect(ids(filter.flush())).toEqual([2]);
  });
});
