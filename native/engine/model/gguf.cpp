#include "model/gguf.h"

#include <algorithm>
#include <cctype>
#include <cstring>
#include <filesystem>
#include <regex>

namespace anabranch {
namespace {

/// Types of metadata values, as the format numbers them.
enum class ValueType : std::uint32_t {
  kU8,
  kI8,
  kU16,
  kI16,
  kU32,
  kI32,
  kF32,
  kBool,
  kString,
  kArray,
  kU64,
  kI64,
  kF64,
};

constexpr std::uint64_t kMaxTensors = 1 << 20;
constexpr std::uint64_t kMaxValues = 1 << 20;
constexpr std::uint64_t kMaxString = 64 << 20;  // a chat template, or a name
constexpr int kMaxArrayDepth = 4;

/// The type of a tensor, as the format numbers them.
std::optional<Dtype> dtype_of(std::uint32_t type) {
  switch (type) {
    case 0:
      return Dtype::kF32;
    case 1:
      return Dtype::kF16;
    case 2:
      return Dtype::kQ4_0;
    case 3:
      return Dtype::kQ4_1;
    case 6:
      return Dtype::kQ5_0;
    case 7:
      return Dtype::kQ5_1;
    case 8:
      return Dtype::kQ8_0;
    case 12:
      return Dtype::kQ4_K;
    case 13:
      return Dtype::kQ5_K;
    case 14:
      return Dtype::kQ6_K;
    case 20:
      return Dtype::kIQ4_NL;
    case 30:
      return Dtype::kBF16;
    default:
      return std::nullopt;
  }
}

/// Reads little-endian values in order; never past the end.
class Cursor {
 public:
  explicit Cursor(const MappedFile& file) : file_(file) {}

  template <class T>
  T take() {
    need(sizeof(T));
    T value;
    std::memcpy(&value, file_.data() + at_, sizeof(T));
    at_ += sizeof(T);
    return value;
  }

  std::string_view string() {
    const auto length = take<std::uint64_t>();
    if (length > kMaxString) fail("has a string of " + std::to_string(length) + " bytes");
    need(length);
    const std::string_view text(reinterpret_cast<const char*>(file_.data() + at_), length);
    at_ += length;
    return text;
  }

  void skip(std::uint64_t bytes) {
    need(bytes);
    at_ += bytes;
  }

  size_t at() const { return at_; }
  const MappedFile& file() const { return file_; }

  [[noreturn]] void fail(const std::string& what) const { throw bad_file(file_.path(), what); }

 private:
  void need(std::uint64_t bytes) const {
    if (bytes > file_.size() - at_) fail("ends in its header");
  }

  const MappedFile& file_;
  size_t at_ = 0;
};

int size_of_value(ValueType type) {
  switch (type) {
    case ValueType::kU8:
    case ValueType::kI8:
    case ValueType::kBool:
      return 1;
    case ValueType::kU16:
    case ValueType::kI16:
      return 2;
    case ValueType::kU32:
    case ValueType::kI32:
    case ValueType::kF32:
      return 4;
    case ValueType::kU64:
    case ValueType::kI64:
    case ValueType::kF64:
      return 8;
    default:
      return 0;  // string, array, unknown
  }
}

void skip_array(Cursor& cursor, int depth) {
  if (depth > kMaxArrayDepth) cursor.fail("has arrays nested too deeply");
  const auto type = static_cast<ValueType>(cursor.take<std::uint32_t>());
  const auto count = cursor.take<std::uint64_t>();
  if (const int size = size_of_value(type)) {
    if (count > kMaxString * 16)
      cursor.fail("has an array of " + std::to_string(count) + " values");
    cursor.skip(count * static_cast<std::uint64_t>(size));
    return;
  }
  // Every element takes at least its length field, so a false count ends at the end of the file.
  for (std::uint64_t i = 0; i < count; ++i) {
    if (type == ValueType::kString)
      cursor.string();
    else if (type == ValueType::kArray)
      skip_array(cursor, depth + 1);
    else
      cursor.fail("has an array of unknown type " + std::to_string(static_cast<int>(type)));
  }
}

GgufModel::Values read_values(Cursor& cursor, std::uint64_t count,
                              std::vector<GgufModel::Entry>& entries) {
  GgufModel::Values out;
  for (std::uint64_t i = 0; i < count; ++i) {
    const size_t begin = cursor.at();
    const std::string_view name = cursor.string();
    const std::string key(name);
    const auto type = static_cast<ValueType>(cursor.take<std::uint32_t>());
    std::optional<GgufModel::Value> value;
    switch (type) {
      case ValueType::kU8:
        value = std::int64_t{cursor.take<std::uint8_t>()};
        break;
      case ValueType::kI8:
        value = std::int64_t{cursor.take<std::int8_t>()};
        break;
      case ValueType::kU16:
        value = std::int64_t{cursor.take<std::uint16_t>()};
        break;
      case ValueType::kI16:
        value = std::int64_t{cursor.take<std::int16_t>()};
        break;
      case ValueType::kU32:
        value = std::int64_t{cursor.take<std::uint32_t>()};
        break;
      case ValueType::kI32:
        value = std::int64_t{cursor.take<std::int32_t>()};
        break;
      case ValueType::kU64:
        value = static_cast<std::int64_t>(cursor.take<std::uint64_t>());
        break;
      case ValueType::kI64:
        value = cursor.take<std::int64_t>();
        break;
      case ValueType::kF32:
        value = static_cast<double>(cursor.take<float>());
        break;
      case ValueType::kF64:
        value = cursor.take<double>();
        break;
      case ValueType::kBool:
        value = cursor.take<std::uint8_t>() != 0;
        break;
      case ValueType::kString:
        value = cursor.string();
        break;
      case ValueType::kArray:
        skip_array(cursor, 0);
        break;
      default:
        cursor.fail("key \"" + key + "\" has unknown type " +
                    std::to_string(static_cast<int>(type)));
    }
    if (value && !out.emplace(key, *value).second) cursor.fail("key \"" + key + "\" appears twice");
    const auto* data = reinterpret_cast<const char*>(cursor.file().data());
    entries.push_back({name, {data + begin, cursor.at() - begin}});
  }
  return out;
}

/// Adds the tensors of one file, whose data begins at a multiple of `alignment` after the header.
void read_tensors(Cursor& cursor, std::uint64_t count, std::int64_t alignment,
                  std::unordered_map<std::string, Tensor>& tensors) {
  struct Place {
    std::uint64_t offset, bytes;
    std::string name;
  };
  std::vector<Place> places;
  for (std::uint64_t i = 0; i < count; ++i) {
    const std::string name(cursor.string());
    const auto refuse = [&](const std::string& what) {
      cursor.fail("tensor \"" + name + "\" " + what);
    };
    const auto dimensions = cursor.take<std::uint32_t>();
    if (dimensions < 1 || dimensions > 4)
      refuse("has " + std::to_string(dimensions) + " dimensions");
    Tensor tensor;
    std::uint64_t elements = 1;
    for (std::uint32_t d = 0; d < dimensions; ++d) {
      const auto extent = cursor.take<std::uint64_t>();
      if (extent == 0 || extent > (std::uint64_t{1} << 40) ||
          elements > (std::uint64_t{1} << 48) / extent) {
        refuse("has an impossible shape");
      }
      elements *= extent;
      tensor.shape.insert(tensor.shape.begin(), static_cast<std::int64_t>(extent));
    }
    const auto type = cursor.take<std::uint32_t>();
    const auto offset = cursor.take<std::uint64_t>();
    const auto dtype = dtype_of(type);
    if (!dtype) refuse("has type " + std::to_string(type) + ", which is not supported");
    tensor.dtype = *dtype;
    if (tensor.shape.back() % block_elements(*dtype) != 0) {
      refuse("has rows of " + std::to_string(tensor.shape.back()) + ", not a multiple of " +
             name_of(*dtype) + "'s blocks");
    }
    places.push_back({offset, bytes_of(*dtype, elements), name});
    if (!tensors.emplace(name, std::move(tensor)).second) refuse("appears twice");
  }

  const auto align = static_cast<std::uint64_t>(alignment);
  const std::uint64_t body = (cursor.at() + align - 1) / align * align;
  const std::uint64_t limit = body > cursor.file().size() ? 0 : cursor.file().size() - body;
  std::sort(places.begin(), places.end(),
            [](const Place& a, const Place& b) { return a.offset < b.offset; });
  for (size_t i = 0; i < places.size(); ++i) {
    const auto& [offset, bytes, name] = places[i];
    if (offset > limit || bytes > limit - offset)
      cursor.fail("tensor \"" + name + "\" is beyond the file, which is cut off: fetch it again");
    if (i > 0 && places[i - 1].offset + places[i - 1].bytes > offset) {
      cursor.fail("tensors \"" + places[i - 1].name + "\" and \"" + name + "\" overlap");
    }
    tensors.at(name).data = cursor.file().data() + body + offset;
  }
}

/// All files of a split model, given any of them; else the file itself.
std::vector<std::string> parts_of(const std::string& path) {
  static const std::regex split("(.*)-(\\d{5})-of-(\\d{5})(\\.gguf)", std::regex::icase);
  std::smatch match;
  if (!std::regex_match(path, match, split)) return {path};
  std::vector<std::string> parts;
  const int count = std::stoi(match[3]);
  if (count == 0) return {path};
  for (int i = 1; i <= count; ++i) {
    const std::string number = std::to_string(i);
    parts.push_back(match[1].str() + "-" + std::string(5 - number.size(), '0') + number + "-of-" +
                    match[3].str() + match[4].str());
  }
  return parts;
}

}  // namespace

void GgufModel::fail(const std::string& what) const {
  throw bad_file(files_.front()->path(), what);
}

GgufModel::GgufModel(const std::string& path) {
  for (const std::string& part : parts_of(path)) {
    files_.push_back(std::make_shared<MappedFile>(part, 24, "a GGUF file"));
    read_part();
  }
}

void GgufModel::read_part() {
  Cursor cursor(*files_.back());
  if (cursor.take<std::uint32_t>() != 0x46554747) cursor.fail("is not a GGUF file");
  const auto version = cursor.take<std::uint32_t>();
  if (version != 2 && version != 3) {
    cursor.fail("is of GGUF version " + std::to_string(version) + "; known are 2 and 3");
  }
  const auto tensors = cursor.take<std::uint64_t>();
  const auto values = cursor.take<std::uint64_t>();
  if (tensors > kMaxTensors || values > kMaxValues) {
    cursor.fail("has an impossible number of entries");
  }
  std::vector<Entry> entries;
  Values read = read_values(cursor, values, entries);
  std::int64_t alignment = 32;
  if (const auto given = read.find("general.alignment"); given != read.end()) {
    const auto* number = std::get_if<std::int64_t>(&given->second);
    if (!number || *number < 1 || *number > (1 << 20)) {
      cursor.fail("key \"general.alignment\" is impossible");
    }
    alignment = *number;
  }
  read_tensors(cursor, tensors, alignment, tensors_);
  if (files_.size() > 1) return;
  values_ = std::move(read);
  entries_ = std::move(entries);
}

const GgufModel::Value& GgufModel::at(std::string_view key) const {
  const auto found = values_.find(std::string(key));
  if (found == values_.end()) fail("key \"" + std::string(key) + "\" is missing");
  return found->second;
}

std::string GgufModel::string(std::string_view key) const {
  const auto* text = std::get_if<std::string_view>(&at(key));
  if (!text) fail("key \"" + std::string(key) + "\" must be a string");
  return std::string(*text);
}

std::int64_t GgufModel::integer(std::string_view key, std::int64_t low, std::int64_t high) const {
  const auto* number = std::get_if<std::int64_t>(&at(key));
  if (!number) fail("key \"" + std::string(key) + "\" must be an integer");
  if (*number < low || *number > high) {
    fail("key \"" + std::string(key) + "\" must be between " + std::to_string(low) + " and " +
         std::to_string(high));
  }
  return *number;
}

double GgufModel::real(std::string_view key) const {
  const Value& value = at(key);
  if (const auto* number = std::get_if<double>(&value)) return *number;
  if (const auto* whole = std::get_if<std::int64_t>(&value)) return static_cast<double>(*whole);
  fail("key \"" + std::string(key) + "\" must be a number");
}

bool is_gguf(const std::string& path) {
  std::string ending = std::filesystem::path(path).extension().string();
  std::transform(ending.begin(), ending.end(), ending.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return ending == ".gguf" && std::filesystem::is_regular_file(path);
}

}  // namespace anabranch
