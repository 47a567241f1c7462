// What a request asks of its answer's form, for the engine.
import type { Constraint } from "@anabranch/shared/proto/anabranch/v1/worker_pb.js";
import { Code, ConnectError } from "@connectrpc/connect";
import { grammarOf } from "./grammar/grammars.ts";
import { GrammarError } from "./grammar/network.ts";

/** What clients call each kind. */
const fields = {
  jsonSchema: "response_format",
  jsonObject: "response_format",
  regex: "guided_regex",
  choice: "guided_choice",
} as const;

/** The engine's field for a constraint. Throws a refusal that names the client's field, after `where`. */
export function grammarField(
  constraint: Constraint | undefined,
  where = "",
): { grammar?: number[] } {
  const kind = constraint?.kind;
  if (!kind?.case) return {};
  try {
    return { grammar: [...grammarOf(kind)] };
  } catch (error) {
    if (!(error instanceof GrammarError)) throw error;
    throw new ConnectError(`${where}${fields[kind.case]}: ${error.message}`, Code.InvalidArgument);
  }
}
