#include "dialect/dialect.h"

#include <algorithm>
#include <filesystem>

#include "model/json.h"

namespace anabranch {
namespace {

/// Reads markers and templates. A part is an object with "ids", or the word "title" or "index".
class Reader {
 public:
  Reader(const Json& file, int vocabulary) : file_(file), vocabulary_(vocabulary) {}

  std::vector<int> ids(const Json& part) const {
    std::vector<int> out;
    for (const Json& id : part.at("ids").items()) {
      out.push_back(static_cast<int>(id.integer(0, vocabulary_ - 1)));
    }
    if (out.empty() || out.size() > 64) part.at("ids").fail("must hold 1 to 64 token ids");
    return out;
  }

  /// A single part, or a list of parts that begins with ids. `words` are the words it may use.
  Template template_at(const char* key, const std::vector<std::string>& words) const {
    const Json value = file_.at(key);
    const auto list = value.is_array() ? value.items() : std::vector<Json>{value};
    Template out;
    for (const Json& part : list) {
      if (!part.is_string()) {
        out.push_back({TemplatePart::Kind::kIds, ids(part)});
        continue;
      }
      const std::string word = part.string();
      const auto kind = word == "title" ? TemplatePart::Kind::kTitle : TemplatePart::Kind::kIndex;
      const bool known = std::find(words.begin(), words.end(), word) != words.end();
      if (!known || uses(out, kind)) part.fail("must be ids" + or_once(words));
      out.push_back({kind, {}});
    }
    if (out.empty() || out.front().kind != TemplatePart::Kind::kIds)
      value.fail("must begin with a marker");
    return out;
  }

  Marker marker(const char* key, const std::vector<std::string>& words = {}) const {
    Template all = template_at(key, words);
    return {all.front().ids, Template(all.begin() + 1, all.end())};
  }

  static bool uses(const Template& parts, TemplatePart::Kind kind) {
    return std::any_of(parts.begin(), parts.end(),
                       [&](const TemplatePart& part) { return part.kind == kind; });
  }

 private:
  static std::string or_once(const std::vector<std::string>& words) {
    std::string out;
    for (const std::string& word : words) out += " or \"" + word + "\"";
    return words.empty() ? out : out + ", once";
  }

  const Json& file_;
  int vocabulary_;
};

size_t longest(const std::vector<std::vector<int>>& lists) {
  size_t out = 0;
  for (const auto& ids : lists) out = std::max(out, ids.size());
  return out;
}

/// Tokens of a template without its title.
size_t length_of(const Template& parts, const std::vector<std::vector<int>>& index) {
  size_t out = 0;
  for (const TemplatePart& part : parts) {
    out += part.kind == TemplatePart::Kind::kIndex ? longest(index) : part.ids.size();
  }
  return out;
}

}  // namespace

std::vector<int> Dialect::render(const Template& parts, const std::vector<int>& title,
                                 int number) const {
  std::vector<int> out;
  for (const TemplatePart& part : parts) {
    const auto& ids = part.kind == TemplatePart::Kind::kTitle   ? title
                      : part.kind == TemplatePart::Kind::kIndex ? index[number - 1]
                                                                : part.ids;
    out.insert(out.end(), ids.begin(), ids.end());
  }
  return out;
}

std::vector<int> Dialect::full_marker(const Marker& marker, int number) const {
  std::vector<int> out = marker.ids;
  const auto rest = render(marker.rest, {}, number);
  out.insert(out.end(), rest.begin(), rest.end());
  return out;
}

int Dialect::max_segments(int tokens) const {
  // Stages of the shortest kind, with as few branches as allowed, have the most segments per token.
  const auto length = [&](const Marker& marker) { return full_marker(marker, 1).size(); };
  const size_t branch = length(title_open) + 1 + length(title_close) +
                        render(opening, {0}, 1).size() + length(branch_close);
  const size_t stage = min_branches * branch + length(fork) + render(join, {}, 1).size();
  const int in_stages = static_cast<int>(static_cast<size_t>(tokens) * (min_branches + 2) / stage);
  return 1 + std::min(max_stages * (max_branches + 2), in_stages + 2);
}

int partial_match(std::span<const int> text, const std::vector<int>& marker) {
  size_t count = std::min(text.size(), marker.size() - 1);
  while (!std::ranges::equal(text.last(count), std::span(marker).first(count))) --count;
  return static_cast<int>(count);
}

namespace {

void read_visible(const Json& file, Dialect& out) {
  if (!file.has("visible")) return;
  const std::pair<const char*, bool*> parts[] = {{"serial", &out.serial_visible},
                                                 {"opening", &out.opening_visible},
                                                 {"body", &out.body_visible},
                                                 {"branch_close", &out.branch_close_visible},
                                                 {"tail", &out.tail_visible}};
  for (const auto& [_, shown] : parts) *shown = false;
  for (const Json& part : file.at("visible").items()) {
    const std::string name = part.string();
    const auto named = std::find_if(std::begin(parts), std::end(parts),
                                    [&](const auto& known) { return name == known.first; });
    if (named == std::end(parts)) {
      part.fail("must be \"serial\", \"opening\", \"body\", \"branch_close\" or \"tail\"");
    }
    *named->second = true;
  }
}

void read_caps(const Json& file, Dialect& out) {
  if (!file.has("caps")) return;
  const Json caps = file.at("caps");
  out.max_branches = static_cast<int>(caps.integer_or("branches", 10, 2, 64));
  out.min_branches = static_cast<int>(caps.integer_or("min_branches", 2, 1, out.max_branches));
  out.max_title_tokens = static_cast<int>(caps.integer_or("title_tokens", 16, 1, 256));
  out.max_branch_tokens = static_cast<int>(caps.integer_or("branch_tokens", 512, 8, 1 << 20));
  out.max_stages = static_cast<int>(caps.integer_or("stages", 8, 1, 1024));
  out.min_room = static_cast<int>(caps.integer_or("min_room", 128, 0, 1 << 20));
  out.branch_room = static_cast<int>(caps.integer_or("branch_room", 32, 0, 1 << 20));
}

/// Reads the index and checks what depends on the caps.
void read_index(const Json& file, const Reader& read, bool numbered, Dialect& out) {
  if (file.has("index")) {
    for (const Json& number : file.at("index").items()) out.index.push_back(read.ids(number));
  }
  if ((numbered || Reader::uses(out.title_open.rest, TemplatePart::Kind::kIndex)) &&
      static_cast<int>(out.index.size()) < out.max_branches) {
    file.fail("field \"index\" must hold the ids of every number up to caps.branches");
  }
  const auto forced = length_of(out.opening, out.index) + out.branch_close.ids.size() +
                      length_of(out.branch_close.rest, out.index);
  if (out.max_branch_tokens < static_cast<int>(forced) + out.max_title_tokens + 1) {
    file.fail("caps.branch_tokens leaves no room for a body after the opening");
  }
}

/// Collects all markers that ordinary text can't contain.
void read_tags(const Json& file, const Reader& read, Dialect& out) {
  for (const Marker* marker : {&out.plan_open, &out.title_open, &out.title_close, &out.fork,
                               &out.branch_close, &out.tail_close}) {
    if (!marker->ids.empty()) out.tags.push_back(marker->ids);
  }
  out.tags.push_back(out.opening.front().ids);
  out.tags.push_back(out.join.front().ids);
  if (file.has("reserved")) {
    for (const Json& tag : file.at("reserved").items()) out.tags.push_back(read.ids(tag));
  }
  for (const auto& tag : out.tags) {
    for (const auto& other : out.tags) {
      const auto found = std::search(tag.begin(), tag.end(), other.begin(), other.end());
      if (&tag == &other || found == tag.end()) continue;
      file.fail("uses token id " + std::to_string(other.front()) +
                " for two markers, or has one marker inside another");
    }
  }
}

}  // namespace

std::optional<Dialect> read_dialect(const std::string& given, const std::string& folder,
                                    int vocabulary) {
  const std::string path = folder + "/aspd.json";
  if (given.empty() && !std::filesystem::exists(path)) return std::nullopt;
  const Json file = given.empty() ? Json::read(path) : Json::parse("dialect", given);
  if (file.at("version").integer(0, 1 << 20) != 1) file.at("version").fail("is not 1");
  const Reader read(file, vocabulary);

  Dialect out;
  out.name = file.at("name").string();
  if (file.has("plan_open")) out.plan_open = read.marker("plan_open");
  out.title_open = read.marker("title_open", {"index"});
  out.title_close = read.marker("title_close");
  out.fork = read.marker("fork");
  out.opening = read.template_at("opening", {"title", "index"});
  const bool numbered = Reader::uses(out.opening, TemplatePart::Kind::kIndex);
  if (!numbered && !Reader::uses(out.opening, TemplatePart::Kind::kTitle)) {
    file.at("opening").fail("must restate the \"title\" or its \"index\"");
  }
  out.branch_close = read.marker("branch_close");
  out.join = read.template_at("join", {});
  if (file.has("tail_close")) out.tail_close = read.marker("tail_close");

  const std::string resume = file.at("resume").string();
  if (resume != "sum" && resume != "max") file.at("resume").fail("must be \"sum\" or \"max\"");
  out.resume = resume == "sum" ? ResumeRule::kSum : ResumeRule::kMax;
  if (file.has("serial")) {
    const std::string serial = file.at("serial").string();
    if (serial != "base" && serial != "adapter") {
      file.at("serial").fail("must be \"base\" or \"adapter\"");
    }
    out.serial_from_base = serial == "base";
  }
  read_visible(file, out);
  read_caps(file, out);
  read_index(file, read, numbered, out);
  read_tags(file, read, out);
  return out;
}

}  // namespace anabranch
