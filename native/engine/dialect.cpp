#include "dialect.h"

#include <algorithm>
#include <filesystem>

#include "json.h"

namespace anabranch {
namespace {

std::vector<int> token_ids(const Json& sequence, int vocabulary) {
  std::vector<int> out;
  for (const Json& id : sequence.at("ids").items()) {
    out.push_back(static_cast<int>(id.integer(0, vocabulary - 1)));
  }
  if (out.empty() || out.size() > 64) sequence.at("ids").fail("must hold 1 to 64 token ids");
  return out;
}

int single_token(const Json& file, const char* key, int vocabulary) {
  const auto ids = token_ids(file.at(key), vocabulary);
  if (ids.size() != 1) {
    file.at(key).at("ids").fail("must be one token: the model chooses this marker in one step");
  }
  return ids[0];
}

}  // namespace

std::optional<Dialect> read_dialect(const std::string& folder, int vocabulary) {
  const std::string path = folder + "/aspd.json";
  if (!std::filesystem::exists(path)) return std::nullopt;
  const Json file = Json::read(path);
  if (file.at("version").integer(0, 1 << 20) != 1) file.at("version").fail("is not 1");

  Dialect out;
  out.name = file.at("name").string();
  out.title_open = single_token(file, "title_open", vocabulary);
  out.title_close = single_token(file, "title_close", vocabulary);
  out.fork = single_token(file, "fork", vocabulary);
  out.branch_close = single_token(file, "branch_close", vocabulary);
  out.join = token_ids(file.at("join"), vocabulary);

  bool title_seen = false;
  for (const Json& piece : file.at("opening").items()) {
    if (piece.is_string()) {
      if (piece.string() != "title" || title_seen) piece.fail("must be \"title\", once, or ids");
      title_seen = true;
      continue;
    }
    auto& part = title_seen ? out.opening_after : out.opening_before;
    const auto ids = token_ids(piece, vocabulary);
    part.insert(part.end(), ids.begin(), ids.end());
  }
  if (!title_seen) file.at("opening").fail("must restate the \"title\"");
  if (out.opening_before.empty()) file.at("opening").fail("must begin with a marker");

  const std::string resume = file.at("resume").string();
  if (resume != "sum" && resume != "max") file.at("resume").fail("must be \"sum\" or \"max\"");
  out.resume = resume == "sum" ? ResumeRule::kSum : ResumeRule::kMax;

  if (file.has("visible")) {
    out.serial_visible = out.body_visible = false;
    for (const Json& part : file.at("visible").items()) {
      const std::string name = part.string();
      if (name == "serial") out.serial_visible = true;
      else if (name == "body") out.body_visible = true;
      else part.fail("must be \"serial\" or \"body\"");
    }
  }
  if (file.has("caps")) {
    const Json caps = file.at("caps");
    out.max_branches = static_cast<int>(caps.integer_or("branches", 10, 2, 64));
    out.max_title_tokens = static_cast<int>(caps.integer_or("title_tokens", 16, 1, 256));
    out.max_branch_tokens = static_cast<int>(caps.integer_or("branch_tokens", 512, 8, 1 << 20));
    out.max_stages = static_cast<int>(caps.integer_or("stages", 8, 1, 1024));
  }
  const int forced = static_cast<int>(out.opening_before.size() + out.opening_after.size());
  if (out.max_branch_tokens < forced + out.max_title_tokens + 2) {
    file.fail("caps.branch_tokens leaves no room for a body after the opening");
  }

  // The single-token markers and every token of the multi-token ones that open or join.
  out.markers = {out.title_open, out.title_close, out.fork, out.branch_close,
                 out.opening_before.front()};
  out.markers.insert(out.markers.end(), out.join.begin(), out.join.end());
  std::sort(out.markers.begin(), out.markers.end());
  if (std::adjacent_find(out.markers.begin(), out.markers.end()) != out.markers.end()) {
    file.fail("uses one token id for two markers");
  }
  return out;
}

}  // namespace anabranch
