#include "arguments.h"

#include <cmath>

namespace anabranch {
namespace {

constexpr std::uint32_t kMaxList = 1 << 24;  // tokens, runs or pairs in one list

}  // namespace

Napi::Error js_error(Napi::Env env, const std::exception& error) {
  const auto* typed = dynamic_cast<const Error*>(&error);
  Napi::Error out = Napi::Error::New(env, error.what());
  out.Set("code", name_of(typed ? typed->code() : ErrorCode::kInternal));
  if (typed && typed->retry_after() > 0) out.Set("retryAfterSeconds", typed->retry_after());
  return out;
}

bool absent(const Napi::Value& value) { return value.IsUndefined() || value.IsNull(); }

double number(const Napi::Object& object, const char* key, double otherwise, double min,
              double max) {
  const Napi::Value value = object.Get(key);
  if (absent(value)) return otherwise;
  if (!value.IsNumber()) throw bad_argument(std::string(key) + " must be a number");
  const double out = value.As<Napi::Number>().DoubleValue();
  if (!(out >= min && out <= max)) {
    throw bad_argument(std::string(key) + " is out of range");
  }
  return out;
}

double whole_number(const Napi::Object& object, const char* key, double otherwise, double min,
                    double max) {
  const double out = number(object, key, otherwise, min, max);
  if (out != std::floor(out)) {
    throw bad_argument(std::string(key) + " must be a whole number");
  }
  return out;
}

int integer(const Napi::Object& object, const char* key, int otherwise, int min, int max) {
  return static_cast<int>(whole_number(object, key, otherwise, min, max));
}

std::uint32_t length_of(const Napi::Array& list, const char* what) {
  const std::uint32_t length = list.Length();
  if (length > kMaxList) throw bad_argument(std::string(what) + " is too long");
  return length;
}

int token_id(const Napi::Value& value, const char* what) {
  const double id = value.IsNumber() ? value.As<Napi::Number>().DoubleValue() : -1;
  if (!(id >= 0 && id <= 2147483647.0) || id != std::floor(id)) {
    throw bad_argument(std::string(what) + " holds a value that is not a token id");
  }
  return static_cast<int>(id);
}

bool boolean(const Napi::Object& object, const char* key) {
  const Napi::Value value = object.Get(key);
  if (absent(value)) return false;
  if (!value.IsBoolean()) throw bad_argument(std::string(key) + " must be a boolean");
  return value.As<Napi::Boolean>().Value();
}

std::string text(const Napi::Object& object, const char* key) {
  const Napi::Value value = object.Get(key);
  if (absent(value)) return "";
  if (!value.IsString()) throw bad_argument(std::string(key) + " must be a string");
  return value.As<Napi::String>().Utf8Value();
}

std::vector<int> token_ids(const Napi::Value& value, const char* what) {
  std::vector<int> out;
  const auto refuse = [&] {
    return bad_argument(std::string(what) + " must be a list of token ids");
  };
  if (value.IsTypedArray()) {
    const auto typed = value.As<Napi::TypedArray>();
    if (typed.TypedArrayType() != napi_uint32_array) throw refuse();
    const auto words = value.As<Napi::Uint32Array>();
    if (words.ElementLength() > kMaxList) throw refuse();
    for (size_t i = 0; i < words.ElementLength(); ++i) {
      if (words[i] > 0x7fffffffu) throw refuse();
      out.push_back(static_cast<int>(words[i]));
    }
    return out;
  }
  if (!value.IsArray()) throw refuse();
  const auto list = value.As<Napi::Array>();
  const std::uint32_t length = length_of(list, what);
  for (std::uint32_t i = 0; i < length; ++i) out.push_back(token_id(list.Get(i), what));
  return out;
}

std::vector<std::uint8_t> bytes(const Napi::Object& object, const char* key, size_t max) {
  const Napi::Value value = object.Get(key);
  if (absent(value)) return {};
  if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != napi_uint8_array) {
    throw bad_argument(std::string(key) + " must be a Uint8Array");
  }
  const auto typed = value.As<Napi::Uint8Array>();
  if (typed.ElementLength() > max) {
    throw bad_argument(std::string(key) + " is too long");
  }
  return {typed.Data(), typed.Data() + typed.ElementLength()};
}

std::vector<std::uint32_t> words(const Napi::Object& object, const char* key) {
  const Napi::Value value = object.Get(key);
  if (absent(value)) return {};
  if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != napi_uint32_array) {
    throw bad_argument(std::string(key) + " must be a Uint32Array");
  }
  const auto typed = value.As<Napi::Uint32Array>();
  if (typed.ElementLength() > kMaxList) throw bad_argument(std::string(key) + " is too long");
  return {typed.Data(), typed.Data() + typed.ElementLength()};
}

}  // namespace anabranch
