import { join } from "node:path";
import { fileURLToPath } from "node:url";
import {
  GenerateRequestSchema,
  TokenizeRequestSchema,
} from "@anabranch/shared/proto/anabranch/v1/worker_pb.js";
import { create } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { describe, expect, it } from "vitest";
import { LongPrompts } from "./long-prompts.ts";
import { TextModel } from "./model/text-model.ts";
import { promptsOf, textBytes } from "./prompt.ts";

const repository = fileURLToPath(new URL("../../", import.meta.url));
const model = new TextModel(join(repository, "models/small"));
const prompts = new LongPrompts();
const { signal } = new AbortController();
/** Longer than what is tokenized at once. */
const long = "Compare Norway and Peru. <|branch|> ".repeat(1_000);

const text = (value: string) =>
  create(TokenizeRequestSchema, { input: { case: "text", value }, bare: true });
const chat = (content: string, more: object = {}) =>
  create(GenerateRequestSchema, {
    input: { case: "chat", value: { messages: [{ role: "user", content }], ...more } },
  });

describe("a long prompt", () => {
  it.each([
    ["a text", text(long)],
    ["a chat", chat(long)],
    [
      "declared branches",
      chat(long, { branches: ["A", "B"].map((content) => ({ title: content, content })) }),
    ],
  ])("has the tokens that it has elsewhere: %s", async (_, request) => {
    expect(textBytes(request)).toBeGreaterThan(30_000);
    const bare = request.$typeName === "anabranch.v1.TokenizeRequest";
    const there = await prompts.of(model, request, bare, signal);
    expect(there).toEqual(await promptsOf(model, request, bare));
  });

  it("is refused with the same words", async () => {
    const tools = [{ definition: JSON.stringify({ type: "function" }) }];
    const refused = await prompts.of(model, chat(long, { tools }), false, signal).catch((e) => e);
    expect(refused).toBeInstanceOf(ConnectError);
    expect(refused.code).toBe(Code.InvalidArgument);
    expect(refused.rawMessage).toMatch(/^tools: /);
  });

  it("leaves the thread of all answers free, and its place if its caller leaves", async () => {
    let turns = 0;
    let over = false;
    const turn = () => {
      turns++;
      if (!over) setImmediate(turn);
    };
    turn();
    const left = new AbortController();
    const word = prompts.of(model, text("ab".repeat(200_000)), true, signal);
    const behind = prompts.of(model, text(long), true, left.signal).catch((error) => error);
    const last = prompts.of(model, text(`${long}.`), true, signal);
    left.abort();
    expect((await word)[0]).toEqual([{ serial: expect.anything() }]);
    over = true;
    // It would have had one or two, had the word been tokenized here.
    expect(turns).toBeGreaterThan(20);
    expect(await behind).toMatchObject({ code: Code.Canceled });
    expect((await last)[0]).toEqual((await promptsOf(model, text(`${long}.`), true))[0]);
  });
});
