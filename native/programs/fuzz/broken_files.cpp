#include "fuzz/broken_files.h"

#include <algorithm>
#include <cstring>
#include <iterator>
#include <string>
#include <vector>

namespace anabranch {
namespace {

/// The ranges of all values and members in a JSON text.
class JsonParts {
 public:
  struct TextRange {
    size_t begin, end;
  };
  std::vector<TextRange> values, members;

  explicit JsonParts(const std::string& text) : text_(text) { value(0); }

 private:
  char at(size_t i) const { return i < text_.size() ? text_[i] : '\0'; }
  size_t blank(size_t i) const {
    while (at(i) == ' ' || at(i) == '\n') ++i;
    return i;
  }
  size_t quoted(size_t i) const {
    for (++i; i < text_.size() && at(i) != '"'; ++i) i += at(i) == '\\';
    return std::min(i + 1, text_.size());
  }
  /// Returns the end of the value at `i`, also in text that is already broken.
  size_t value(size_t i, int depth = 0) {
    const size_t begin = i = blank(i);
    if (at(i) == '"') {
      i = quoted(i);
    } else if ((at(i) == '{' || at(i) == '[') && depth < 100) {
      const bool object = at(i) == '{';
      const char close = object ? '}' : ']';
      i = blank(i + 1);
      while (i < text_.size() && at(i) != close) {
        const size_t member = i;
        if (object) {
          i = blank(at(i) == '"' ? quoted(i) : i + 1);
          i += at(i) == ':';
        }
        i = std::max(value(i, depth + 1), member + 1);
        if (object) members.push_back({member, i});
        i = blank(i);
        i += at(i) == ',';
        i = blank(i);
      }
      ++i;
    } else {
      while (i < text_.size() && !std::strchr(",]} \n", at(i))) ++i;
    }
    i = std::min(i, text_.size());
    if (i > begin) values.push_back({begin, i});
    return i;
  }

  const std::string& text_;
};

std::string random_json(Dice& dice, int depth) {
  static const std::vector<std::string> leaves = {"0",
                                                  "-0",
                                                  "1",
                                                  "-1",
                                                  "2",
                                                  "7",
                                                  "16",
                                                  "255",
                                                  "65536",
                                                  "2147483647",
                                                  "2147483648",
                                                  "-2147483649",
                                                  "4294967296",
                                                  "9007199254740993",
                                                  "9223372036854775807",
                                                  "18446744073709551615",
                                                  "1e308",
                                                  "-1e308",
                                                  "1e400",
                                                  "1e-320",
                                                  "0.5",
                                                  "1e18",
                                                  "null",
                                                  "true",
                                                  "false",
                                                  "\"\"",
                                                  "\"llama\"",
                                                  "\"title\"",
                                                  "\"sum\"",
                                                  "\"..\"",
                                                  "\"a.safetensors\"",
                                                  "\"\\u0000\"",
                                                  "\"\\ud800\"",
                                                  "[]",
                                                  "{}",
                                                  "nan",
                                                  "\"\xff\""};
  if (depth == 0 || dice.chance(60)) return dice.pick(leaves);
  if (dice.chance(5)) return std::string(3000, '[');
  std::string out;
  const bool object = dice.chance(50);
  for (int i = dice.below(4); i > 0; --i) {
    out += (out.empty() ? "" : ",") + (object ? "\"" + std::to_string(i) + "\":" : std::string()) +
           random_json(dice, depth - 1);
  }
  return object ? "{" + out + "}" : "[" + out + "]";
}

void break_bytes(std::string& text, size_t within, Dice& dice) {
  for (int i = dice.between(1, 8); i > 0 && within > 0; --i) {
    text[dice.word() % within] = static_cast<char>(dice.word());
  }
}

void break_json(std::string& text, Dice& dice) {
  const JsonParts parts(text);
  const int kind = dice.below(10);
  if (kind < 5 && !parts.values.empty()) {
    const auto [begin, end] = dice.pick(parts.values);
    text.replace(begin, end - begin, random_json(dice, 3));
  } else if (kind < 7 && !parts.members.empty()) {
    auto [begin, end] = dice.pick(parts.members);
    if (end < text.size() && text[end] == ',') ++end;
    text.erase(begin, end - begin);
  } else if (kind < 8 && !parts.members.empty()) {
    const auto [begin, end] = dice.pick(parts.members);
    const std::string member = text.substr(begin, end - begin);
    text.insert(dice.pick(parts.members).begin, member + ",");
  } else if (kind < 9) {
    break_bytes(text, text.size(), dice);
  } else {
    text.resize(dice.word() % (text.size() + 1));
  }
}

void break_safetensors(std::string& file, Dice& dice) {
  std::uint64_t length = 0;
  if (file.size() > 8) std::memcpy(&length, file.data(), 8);
  if (file.size() <= 8 || length > file.size() - 8 || dice.chance(20)) {
    if (dice.chance(50))
      file.resize(dice.word() % (file.size() + 1));
    else
      break_bytes(file, std::min<size_t>(file.size(), 64), dice);
  } else if (dice.chance(25)) {
    // Breaks the weights: some become NaN or infinite.
    std::string body = file.substr(8 + length);
    break_bytes(body, body.size(), dice);
    file.replace(8 + length, std::string::npos, body);
  } else {
    std::string header = file.substr(8, length);
    break_json(header, dice);
    file = safetensors_file(header, file.substr(8 + length));
  }
}

}  // namespace

void break_files(Files& files, Dice& dice) {
  for (int i = dice.below(4); i > 0; --i) {
    auto at = files.begin();
    std::advance(at, dice.below(static_cast<int>(files.size())));
    auto& [name, content] = *at;
    if (dice.chance(2))
      content.clear();
    else if (name.ends_with(".safetensors"))
      break_safetensors(content, dice);
    else
      break_json(content, dice);
  }
}

}  // namespace anabranch
