// The one error type of the gateway, in OpenAI's shape.

export type ErrorType =
  | "invalid_request_error"
  | "authentication_error"
  | "permission_error"
  | "rate_limit_error"
  | "server_error";

export interface ErrorBody {
  error: { message: string; type: ErrorType; param: string | null; code: string };
}

export interface ErrorOptions {
  type?: ErrorType;
  param?: string | null;
  code: string;
  headers?: Record<string, string>;
}

/** A refusal or failure as the client sees it. `status` matters only before the headers are sent. */
export class ApiError extends Error {
  override readonly name = "ApiError";
  readonly status: number;
  readonly type: ErrorType;
  readonly param: string | null;
  readonly code: string;
  readonly headers: Record<string, string>;

  constructor(status: number, message: string, options: ErrorOptions) {
    super(message);
    this.status = status;
    this.type = options.type ?? (status >= 500 ? "server_error" : "invalid_request_error");
    this.param = options.param ?? null;
    this.code = options.code;
    this.headers = options.headers ?? {};
  }

  get body(): ErrorBody {
    const { message, type, param, code } = this;
    return { error: { message, type, param, code } };
  }

  toResponse(): Response {
    return Response.json(this.body, { status: this.status, headers: this.headers });
  }
}

/** What the client calls a field, or a path of fields, that a chat has under this name. */
export type NameOf = (field: string) => string;

/** Names of fields in a message: in quotes, at its beginning, or of several words. */
const named = /(?<=')[\w.[\]]+(?=')|^[\w.[\]]+(?=:? )|(?<=^|\s)[a-z]+_\w*(?:\[\d+\]|\.\w+)*/g;

/** `error` with the client's names. What is behind the bodies of requests knows a chat's names alone. */
export function withNames(error: unknown, nameOf: NameOf): ApiError {
  const { status, message, type, param, code, headers } = asApiError(error);
  const options = { type, code, headers, param: param === null ? null : nameOf(param) };
  return new ApiError(status, message.replaceAll(named, nameOf), options);
}

/** A request whose field `param` is missing or wrong. */
export function badField(param: string, message: string, code = "invalid_value"): ApiError {
  return new ApiError(400, message, { param, code });
}

export const modelNotFound = (id: string) =>
  new ApiError(404, `The model '${id}' does not exist or you do not have access to it.`, {
    param: "model",
    code: "model_not_found",
  });

/** Throws unless a key that may use only `models` may use this one. A model it may not use is as if unknown. */
export function requireModel(models: readonly string[] | null, id: string): void {
  if (models && !models.includes(id)) throw modelNotFound(id);
}

/** Whether SQLite could not write, of an object or of D1, which tells no more than that it failed. */
function isOfStorage(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  return (
    /SQLITE_FULL|^internal error; reference = /.test(error.message) || isOfStorage(error.cause)
  );
}

/** Anything thrown, as an error that a client may see. */
export function asApiError(error: unknown): ApiError {
  if (error instanceof ApiError) return error;
  console.error(error);
  if (isOfStorage(error)) {
    return new ApiError(
      503,
      "The gateway's storage failed; its log says why, and a full disk is the usual reason.",
      { code: "storage_unavailable", headers: { "retry-after": "30" } },
    );
  }
  return new ApiError(500, "The gateway failed while it processed the request.", {
    code: "internal_error",
  });
}
