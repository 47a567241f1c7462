// Reading JavaScript values. Every field is checked for type and range: JavaScript must not be able
// to abort the process, so a value that can't be used throws an Error.
#pragma once

#include <napi.h>

#include <cstdint>
#include <string>
#include <vector>

#include "error.h"

namespace anabranch {

/// The JavaScript error for a C++ exception: an Error with a `code`.
Napi::Error js_error(Napi::Env env, const std::exception& error);

inline constexpr double kMaxWord = 4294967295.0;  // 2^32 - 1

bool absent(const Napi::Value& value);  // undefined or null

// Fields of an object. An absent field gives the default.
double number(const Napi::Object& object, const char* key, double otherwise, double min,
              double max);
double whole_number(const Napi::Object& object, const char* key, double otherwise, double min,
                    double max);
int integer(const Napi::Object& object, const char* key, int otherwise, int min, int max);
bool boolean(const Napi::Object& object, const char* key);
std::string text(const Napi::Object& object, const char* key);
/// A Uint8Array of at most `max` bytes.
std::vector<std::uint8_t> bytes(const Napi::Object& object, const char* key, size_t max = 256);
/// A Uint32Array.
std::vector<std::uint32_t> words(const Napi::Object& object, const char* key);

/// The length of a list of tokens, runs or pairs. `what` names the list in errors.
std::uint32_t length_of(const Napi::Array& list, const char* what);
/// A token id. The engine checks whether it is in the vocabulary.
int token_id(const Napi::Value& value, const char* what);
/// Token ids as an array or a Uint32Array.
std::vector<int> token_ids(const Napi::Value& value, const char* what);

}  // namespace anabranch
