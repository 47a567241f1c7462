// Typed reading of JSON files. Every error names the file and the field.
#pragma once

#include <cmath>
#include <cstdint>
#include <fstream>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "error.h"
#include "simdjson.h"

namespace anabranch {

/// A value in a parsed document, which it keeps alive.
class Json {
 public:
  static Json parse(const std::string& file, std::string_view text) {
    auto document = std::make_shared<Document>();
    document->file = file;
    simdjson::dom::element root;
    if (auto error = document->parser.parse(text.data(), text.size()).get(root)) {
      throw bad_file(file, std::string("not valid JSON: ") + simdjson::error_message(error));
    }
    return Json(std::move(document), root, "");
  }

  /// Reads a whole file of at most 64 MiB.
  static Json read(const std::string& path) {
    std::ifstream in(path, std::ios::binary | std::ios::ate);
    if (!in) throw bad_file(path, "can't be opened");
    const auto size = static_cast<std::int64_t>(in.tellg());
    if (size < 0 || size > (std::int64_t{64} << 20)) throw bad_file(path, "too large for JSON");
    std::string text(static_cast<size_t>(size), '\0');
    in.seekg(0);
    if (!in.read(text.data(), size)) throw bad_file(path, "can't be read");
    return parse(path, text);
  }

  bool has(std::string_view key) const {
    simdjson::dom::object object;
    if (value_.get(object)) return false;
    simdjson::dom::element element;
    return !object.at_key(key).get(element) && !element.is_null();
  }

  /// Whether the field is there, be it null.
  bool contains(std::string_view key) const {
    simdjson::dom::object object;
    simdjson::dom::element element;
    return !value_.get(object) && !object.at_key(key).get(element);
  }

  Json at(std::string_view key) const {
    simdjson::dom::object object;
    if (value_.get(object)) fail("must be an object");
    simdjson::dom::element element;
    if (object.at_key(key).get(element)) {
      throw bad_file(document_->file, "field \"" + join(key) + "\" is missing");
    }
    return Json(document_, element, join(key));
  }

  std::int64_t integer(std::int64_t low, std::int64_t high) const {
    std::int64_t number = 0;
    if (value_.get(number)) {
      double real = 0;
      if (value_.get(real) || std::floor(real) != real || std::abs(real) > 9e15) {
        fail("must be a whole number");
      }
      number = static_cast<std::int64_t>(real);
    }
    if (number < low || number > high) {
      fail("must be between " + std::to_string(low) + " and " + std::to_string(high));
    }
    return number;
  }
  double real() const {
    double number = 0;
    if (value_.get(number)) {
      std::int64_t whole = 0;
      if (value_.get(whole)) fail("must be a number");
      number = static_cast<double>(whole);
    }
    if (!std::isfinite(number)) fail("must be finite");
    return number;
  }
  bool boolean() const {
    bool flag = false;
    if (value_.get(flag)) fail("must be true or false");
    return flag;
  }
  std::string string() const {
    std::string_view text;
    if (value_.get(text)) fail("must be a string");
    return std::string(text);
  }
  bool is_null() const { return value_.is_null(); }
  bool is_boolean() const { return value_.is_bool(); }
  bool is_object() const { return value_.is_object(); }
  bool is_string() const { return value_.is_string(); }
  bool is_array() const { return value_.is_array(); }

  std::vector<Json> items() const {
    simdjson::dom::array array;
    if (value_.get(array)) fail("must be a list");
    std::vector<Json> out;
    for (auto element : array) {
      out.push_back(Json(document_, element, where_ + "[" + std::to_string(out.size()) + "]"));
    }
    return out;
  }
  std::vector<std::pair<std::string, Json>> members() const {
    simdjson::dom::object object;
    if (value_.get(object)) fail("must be an object");
    std::vector<std::pair<std::string, Json>> out;
    for (auto [key, element] : object) {
      out.emplace_back(std::string(key), Json(document_, element, join(key)));
    }
    return out;
  }

  // The same with a default for an absent or null field.
  std::int64_t integer_or(std::string_view key, std::int64_t otherwise, std::int64_t low,
                          std::int64_t high) const {
    return has(key) ? at(key).integer(low, high) : otherwise;
  }
  double real_or(std::string_view key, double otherwise) const {
    return has(key) ? at(key).real() : otherwise;
  }
  bool boolean_or(std::string_view key, bool otherwise) const {
    return has(key) ? at(key).boolean() : otherwise;
  }
  std::string string_or(std::string_view key, const std::string& otherwise) const {
    return has(key) ? at(key).string() : otherwise;
  }

  [[noreturn]] void fail(const std::string& what) const {
    throw bad_file(document_->file, where_.empty() ? what : "field \"" + where_ + "\" " + what);
  }

 private:
  struct Document {
    std::string file;
    simdjson::dom::parser parser;
  };

  Json(std::shared_ptr<Document> document, simdjson::dom::element value, std::string where)
      : document_(std::move(document)), value_(value), where_(std::move(where)) {}

  std::string join(std::string_view key) const {
    return where_.empty() ? std::string(key) : where_ + "." + std::string(key);
  }

  std::shared_ptr<Document> document_;
  simdjson::dom::element value_;
  std::string where_;
};

}  // namespace anabranch
