// What a request asks of its answer's form, as an upstream takes it. Fields that a server does not know it ignores, so
// it is asked only for what OpenAI's API has, unless it is a gateway of ours.
import type { Constraint } from "@anabranch/shared/proto/anabranch/v1/worker_pb.js";
import { Code, ConnectError } from "@connectrpc/connect";
import type { Lack } from "./upstream.ts";

/** What a request asks and this server can't do; `why` begins with the field. */
export const refuse = (why: string): never => {
  throw new ConnectError(`${why} on the server of this model`, Code.InvalidArgument);
};

const formatOf = (schema: string) => ({
  type: "json_schema",
  json_schema: { name: "answer", schema: JSON.parse(schema) as object, strict: true },
});

/** What is known of the server, and what is asked of it. */
export interface Asked {
  isOurs: boolean;
  isChat: boolean;
  without: readonly Lack[];
}

/** The fields of a chat, a plain completion or, of a gateway of ours, a declared branch. */
export function constraintFields(
  constraint: Constraint | undefined,
  { isOurs, isChat, without }: Asked,
): object {
  const kind = constraint?.kind;
  if (!kind?.case) return {};
  if (!isOurs && !isChat) refuse("response_format: it is known of chats only");
  if (without.includes("response_format")) refuse("response_format: it is not supported");
  switch (kind.case) {
    case "jsonSchema":
      return { response_format: formatOf(kind.value) };
    case "jsonObject":
      return { response_format: { type: "json_object" } };
    case "regex":
      return isOurs ? { guided_regex: kind.value } : refuse("guided_regex: it is not known");
    case "choice":
      return isOurs
        ? { guided_choice: kind.value.texts }
        : refuse("guided_choice: it is not known");
  }
}
