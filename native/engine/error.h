// The error type for bad files, options and requests.
#pragma once

#include <stdexcept>
#include <string>

namespace anabranch {

enum class ErrorCode {
  kInvalidArgument,     // the caller can correct the request
  kNotFound,            // nothing has the name that was asked for
  kOutOfRange,          // the prompt or budget does not fit the model
  kResourceExhausted,   // it may fit at another time
  kFailedPrecondition,  // the model or the machine can't do this
  kUnavailable,         // the engine is closing
  kCancelled,           // the caller asked for it to end
  kInternal,            // a bug in the engine
};

/// The gRPC name of a code.
inline const char* name_of(ErrorCode code) {
  switch (code) {
    case ErrorCode::kInvalidArgument:
      return "invalid_argument";
    case ErrorCode::kNotFound:
      return "not_found";
    case ErrorCode::kOutOfRange:
      return "out_of_range";
    case ErrorCode::kResourceExhausted:
      return "resource_exhausted";
    case ErrorCode::kFailedPrecondition:
      return "failed_precondition";
    case ErrorCode::kUnavailable:
      return "unavailable";
    case ErrorCode::kCancelled:
      return "cancelled";
    case ErrorCode::kInternal:
      return "internal";
  }
  return "internal";
}

class Error : public std::runtime_error {
 public:
  Error(ErrorCode code, const std::string& message, double retry_after = 0)
      : std::runtime_error(message), code_(code), retry_after_(retry_after) {}
  ErrorCode code() const { return code_; }
  /// Estimated seconds after which a retry may succeed; 0: unknown.
  double retry_after() const { return retry_after_; }

 private:
  ErrorCode code_;
  double retry_after_;
};

/// The error for an unusable file of a model folder.
inline Error bad_file(const std::string& file, const std::string& what) {
  return Error(ErrorCode::kFailedPrecondition, file + ": " + what);
}

inline Error bad_argument(const std::string& what) {
  return Error(ErrorCode::kInvalidArgument, what);
}

}  // namespace anabranch
