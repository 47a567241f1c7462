// The client's types beside those of the gateway's OpenAPI document. `npm run check` compares them: nothing runs here.

import type { components, paths } from "../../console/src/api/schema.d.ts";
import type { Completion, Model, Usage } from "../src/chunk.ts";
import type { AnswerRequest } from "../src/request.ts";
import type { UsageReport } from "../src/usage-report.ts";

type Schemas = components["schemas"];
type Body<Path extends "/v1/usage"> =
  paths[Path]["get"]["responses"][200]["content"]["application/json"];

/** What the client sends is what the gateway takes; what the gateway answers is what the client says. */
export type Agreed = [
  Fits<AsJson, Named<Schemas["ChatCompletionRequest"]>>,
  Fits<keyof AnswerRequest, keyof Named<Schemas["ChatCompletionRequest"]>>,
  Fits<Schemas["ChatCompletion"], Completion>,
  Fits<Schemas["CompletionUsage"], Usage>,
  Fits<Schemas["Model"], Model>,
  Fits<Body<"/v1/usage">, UsageReport>,
];

/** JSON's integers have no bound; the document's types call them numbers. */
type AsJson = Omit<AnswerRequest, "seed"> & { seed?: number };
type Fits<Given extends Wanted, Wanted> = Given;
/** Without the names that any other field may have. */
type Named<T> = { [Key in keyof T as string extends Key ? never : Key]: T[Key] };
