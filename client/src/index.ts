// @anabranch/client: answers that branch, as they grow. docs/client.md is its guide.

export {
  type AnswerMessage,
  type AnswerPart,
  type Branch,
  type BranchPart,
  bodiesOf,
  type Change,
  type CloseReasonWord,
  collectChoices,
  collectLanes,
  LaneAnswer,
  type LaneChunk,
  type Part,
  type Stage,
  type TextRun,
} from "@anabranch/shared/lane-answer.ts";
export type { LaneEventName, LaneMark } from "@anabranch/shared/lane-mark.ts";
export { Anabranch, type DeclaredAnswer } from "./anabranch.ts";
export type { Answer } from "./answer.ts";
export { type AnswerEvent, AnswerStream } from "./answer-stream.ts";
export type {
  AnswerChunk,
  Classification,
  FinishReason,
  Model,
  TokenLogprob,
  ToolCallDelta,
  Usage,
} from "./chunk.ts";
export { ChunkStream } from "./chunk-stream.ts";
export {
  AnabranchError,
  ApiError,
  AuthenticationError,
  BadRequestError,
  ConflictError,
  ConnectionError,
  NotFoundError,
  PermissionError,
  RateLimitError,
  ServerError,
  TimeoutError,
} from "./errors.ts";
export type {
  AnabranchOptions,
  AnswerRequest,
  AskRequest,
  AssistantMessage,
  Content,
  DeclaredBranch,
  Message,
  Question,
  RequestOptions,
  ResponseFormat,
  Schema,
  Tool,
  ToolCall,
  ToolChoice,
} from "./request.ts";
export type { ClientOptions, Head } from "./transport.ts";
export type { UsageQuery, UsageReport, UsageRow, UsageTotals } from "./usage-report.ts";
