#include "grammar/token_trie.h"

#include <algorithm>
#include <utility>

namespace anabranch {
namespace {

constexpr size_t kMaxTokenBytes = 1024;  // a longer token is not written under a grammar
constexpr size_t kMaxSplits = 8;

}  // namespace

TokenTrie::TokenTrie(std::vector<std::string> bytes) : bytes_(std::move(bytes)) {
  std::vector<int> order;
  for (size_t id = 0; id < bytes_.size(); ++id) {
    if (bytes_[id].size() > kMaxTokenBytes) bytes_[id].clear();
    if (!bytes_[id].empty()) order.push_back(static_cast<int>(id));
    depth_ = std::max(depth_, bytes_[id].size());
  }
  std::stable_sort(order.begin(), order.end(), [&](int a, int b) { return bytes_[a] < bytes_[b]; });
  std::vector<size_t> path;  // the nodes that lead to the last token
  for (int id : order) {
    const std::string& text = bytes_[id];
    size_t shared = 0;
    while (shared < path.size() && shared < text.size() &&
           nodes_[path[shared]].byte == static_cast<std::uint8_t>(text[shared])) {
      ++shared;
    }
    for (size_t i = shared; i < path.size(); ++i) {
      nodes_[path[i]].end = static_cast<std::uint32_t>(nodes_.size());
    }
    path.resize(shared);
    for (size_t i = shared; i < text.size(); ++i) {
      path.push_back(nodes_.size());
      nodes_.push_back({0, static_cast<std::uint32_t>(tokens_.size()), 0,
                        static_cast<std::uint16_t>(i), static_cast<std::uint8_t>(text[i])});
    }
    // Tokens of equal bytes follow each other.
    ++nodes_[path.back()].num_tokens;
    tokens_.push_back(id);
  }
  for (size_t node : path) nodes_[node].end = static_cast<std::uint32_t>(nodes_.size());
}

TokenTrie::~TokenTrie() = default;

std::string_view TokenTrie::bytes(int token) const {
  if (token < 0 || static_cast<size_t>(token) >= bytes_.size()) return {};
  return bytes_[token];
}

size_t TokenTrie::child(size_t begin, size_t end, std::uint8_t byte) const {
  while (begin < end && nodes_[begin].byte != byte) begin = nodes_[begin].end;
  return begin;
}

std::vector<int> TokenTrie::spell(std::string_view text, size_t count) const {
  std::vector<int> out;
  while (!text.empty() && out.size() < count) {
    int longest = -1;
    size_t begin = 0, end = nodes_.size();
    for (char byte : text) {
      const size_t at = child(begin, end, static_cast<std::uint8_t>(byte));
      if (at == end) break;
      if (nodes_[at].num_tokens > 0) longest = tokens_of(nodes_[at]).front();
      begin = at + 1;
      end = nodes_[at].end;
    }
    if (longest < 0) break;
    out.push_back(longest);
    text.remove_prefix(bytes_[longest].size());
  }
  return out;
}

std::shared_ptr<const TokenTrie::Split> TokenTrie::split(const ByteSet& set) const {
  std::lock_guard lock(mutex_);
  const auto found = std::ranges::find(splits_, set, &decltype(splits_)::value_type::first);
  if (found != splits_.end()) {
    splits_.splice(splits_.begin(), splits_, found);
    return found->second;
  }
  std::vector<TokenMask> up_to(Split::kLongest + 1, no_tokens());
  std::vector<std::string> others = bytes_;
  for (size_t token = 0; token < others.size(); ++token) {
    std::string& text = others[token];
    const bool in_set =
        std::ranges::all_of(text, [&](char byte) { return set[static_cast<std::uint8_t>(byte)]; });
    if (text.empty() || text.size() > Split::kLongest || !in_set) continue;
    for (size_t length = text.size(); length < up_to.size(); ++length) {
      up_to[length][token / 32] |= 1u << (token % 32);
    }
    text.clear();
  }
  splits_.emplace_front(set, std::make_shared<const Split>(std::move(up_to), std::move(others)));
  if (splits_.size() > kMaxSplits) splits_.pop_back();
  return splits_.front().second;
}

}  // namespace anabranch
