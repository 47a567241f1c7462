// Errors in the shape of Anthropic's API.
import type { ApiError } from "../api-error.ts";

const types: Record<number, string> = {
  401: "authentication_error",
  403: "permission_error",
  404: "not_found_error",
  413: "request_too_large",
  429: "rate_limit_error",
  503: "overloaded_error",
};

/** Where errors have this shape. */
export const messagesPath = "/v1/messages";

export function messageError({ status, message }: ApiError): object {
  const type = types[status] ?? (status >= 500 ? "api_error" : "invalid_request_error");
  return { type: "error", error: { type, message } };
}
