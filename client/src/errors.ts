// What can go wrong, as classes. An error that the gateway reported is an ApiError: docs/protocol.md lists the codes.

/** Any error of this client, but for a caller's own abort. */
export class AnabranchError extends Error {
  override readonly name: string = "AnabranchError";
  /** To find the request in the gateway's log; null if no answer came. */
  readonly requestId: string | null;

  constructor(message: string, requestId: string | null = null, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.requestId = requestId;
  }
}

/** The gateway was not reached, or its answer broke off. */
export class ConnectionError extends AnabranchError {
  override readonly name: string = "ConnectionError";
}

/** Nothing was heard of the gateway for as long as `timeout` says. */
export class TimeoutError extends ConnectionError {
  override readonly name = "TimeoutError";
}

/** The fields of an error's body. */
export interface ApiErrorFields {
  message?: string;
  type?: string | null;
  param?: string | null;
  code?: string | null;
}

/** The gateway's own word that a request failed. */
export class ApiError extends AnabranchError {
  override readonly name: string = "ApiError";
  /** Null: the error came in a stream that had begun. */
  readonly status: number | null;
  /** Such as `rate_limit_exceeded`. */
  readonly code: string | null;
  readonly type: string | null;
  /** The field of the request that is wrong. */
  readonly param: string | null;
  /** Seconds after which the gateway would be asked again; null if it does not say. */
  readonly retryAfter: number | null;
  /** Whether the same request may succeed later. */
  readonly retryable: boolean;

  constructor(status: number | null, fields: ApiErrorFields, headers: Headers) {
    super(fields.message ?? `The gateway answered ${status}.`, headers.get("x-request-id"));
    this.status = status;
    this.code = fields.code ?? null;
    this.type = fields.type ?? null;
    this.param = fields.param ?? null;
    this.retryAfter = status === null ? null : secondsOf(headers.get("retry-after"));
    this.retryable = mayRetry(status, this.code, headers.get("x-should-retry"));
  }
}

/** 400, 405, 408, 413, 415: the request is wrong. */
export class BadRequestError extends ApiError {
  override readonly name = "BadRequestError";
}
/** 401: the key is missing, unknown, revoked or expired. */
export class AuthenticationError extends ApiError {
  override readonly name = "AuthenticationError";
}
/** 403: the key is not for this. */
export class PermissionError extends ApiError {
  override readonly name = "PermissionError";
}
/** 404: no such model. */
export class NotFoundError extends ApiError {
  override readonly name = "NotFoundError";
}
/** 409: the Idempotency-Key belongs to another request, or to one that still runs. */
export class ConflictError extends ApiError {
  override readonly name = "ConflictError";
}
/** 429: a limit of the key or its tenant. */
export class RateLimitError extends ApiError {
  override readonly name = "RateLimitError";
}
/** 5xx, or a failure in a stream that had begun. */
export class ServerError extends ApiError {
  override readonly name = "ServerError";
}

/** `Retry-After`: seconds, or a date. */
function secondsOf(value: string | null): number | null {
  if (value === null) return null;
  const seconds = Number(value);
  if (Number.isFinite(seconds)) return Math.max(0, seconds);
  const ms = Date.parse(value) - Date.now();
  return Number.isNaN(ms) ? null : Math.max(0, ms / 1_000);
}

function mayRetry(status: number | null, code: string | null, said: string | null): boolean {
  if (said === "true" || said === "false") return said === "true";
  if (status === 409) return code === "idempotency_key_in_use";
  return status === null || status === 408 || status === 429 || status >= 500;
}

/** The error of a response or of an event, by its status. */
export function apiError(status: number | null, body: unknown, headers: Headers): ApiError {
  const fields = ((body as { error?: ApiErrorFields } | null)?.error ?? {}) as ApiErrorFields;
  const made = (of: typeof ApiError): ApiError => new of(status, fields, headers);
  switch (status) {
    case 401:
      return made(AuthenticationError);
    case 403:
      return made(PermissionError);
    case 404:
      return made(NotFoundError);
    case 409:
      return made(ConflictError);
    case 429:
      return made(RateLimitError);
    default:
      return made(status === null || status >= 500 ? ServerError : BadRequestError);
  }
}
