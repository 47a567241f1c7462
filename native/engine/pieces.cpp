#include "pieces.h"

#include <algorithm>

namespace anabranch {
namespace {

/// Query heads of one unit: many enough to pay for reading the piece, few enough to share out.
constexpr int kUnitQueries = 96;

int pieces_of(int tokens) { return (tokens + kPieceTokens - 1) / kPieceTokens; }

}  // namespace

PiecePlan::PiecePlan(int blocks, int slots, int kv_heads, int group, int threads)
    : slot_limit_(slots),
      kv_heads_(kv_heads),
      group_(group),
      threads_(threads),
      group_at_(blocks, -1) {
  groups_.reserve(slots);
  entries_.reserve(slots);
  readers_.reserve(slots);
}

/// The group that reads these blocks as far as both go, or a new one. Requests that share cached
/// blocks may part within a piece: then the first block is the same and another is not.
int PiecePlan::group_of(const int* blocks, int tokens) {
  for (int at = group_at_[blocks[0]]; at >= 0; at = groups_[at].next) {
    Group& group = groups_[at];
    const int common = (std::min(tokens, group.tokens) + kBlockTokens - 1) / kBlockTokens;
    if (blocks != group.blocks && !std::equal(blocks, blocks + common, group.blocks)) continue;
    if (tokens > group.tokens) {
      group.blocks = blocks;
      group.tokens = tokens;
    }
    return at;
  }
  const int made = static_cast<int>(groups_.size());
  groups_.push_back({blocks, tokens, 0, 0, group_at_[blocks[0]]});
  group_at_[blocks[0]] = made;
  return made;
}

void PiecePlan::build(const Batch& batch) {
  readers_.clear();
  units_.clear();
  waves_.clear();
  tokens_ = 0;
  const int rows = static_cast<int>(batch.rows.size());
  first_slot_.resize(rows);
  slots_.resize(rows);
  int first_row = 0, used = 0;
  for (int row = 0; row < rows; ++row) {
    const Span* spans = batch.spans.data() + batch.rows[row].first_span;
    const int count = batch.rows[row].spans;
    int slots = 0;
    for (int s = 0; s < count; ++s) slots += pieces_of(spans[s].length);
    if (used + slots > slot_limit_) {
      close_wave(first_row, row);
      first_row = row;
      used = 0;
    }
    first_slot_[row] = used;
    slots_[row] = slots;
    for (int s = 0; s < count; ++s) {
      for (int first = 0; first < spans[s].length; first += kPieceTokens) {
        const int tokens = std::min(kPieceTokens, spans[s].length - first);
        const int group = group_of(spans[s].blocks + first / kBlockTokens, tokens);
        ++groups_[group].readers;
        entries_.push_back({group, {row, tokens, used++}});
      }
    }
  }
  close_wave(first_row, rows);
}

/// Brings the wave's readers together by group, and deals units out by their work.
void PiecePlan::close_wave(int first_row, int last_row) {
  int begin = static_cast<int>(readers_.size());
  readers_.resize(readers_.size() + entries_.size());
  const int first_unit = static_cast<int>(units_.size());
  for (Group& group : groups_) {
    group_at_[group.blocks[0]] = -1;
    group.placed = begin;
    tokens_ += group.tokens;
    const int parts = (group.readers * group_ + kUnitQueries - 1) / kUnitQueries;
    for (int head = 0; head < kv_heads_; ++head) {
      for (int part = 0; part < parts; ++part) {
        const int first = group.readers * part / parts;
        const int count = group.readers * (part + 1) / parts - first;
        units_.push_back({group.blocks, begin + first, count, head});
      }
    }
    begin += group.readers;
  }
  for (const Entry& entry : entries_) readers_[groups_[entry.group].placed++] = entry.reader;
  groups_.clear();
  entries_.clear();

  // A tile of queries walks the tokens of its longest reader; what a unit costs is near that. Each
  // also reads K and V once, which costs about as much as computing with them a few times.
  const int last_unit = static_cast<int>(units_.size());
  std::vector<long long> until(1, 0);
  for (int i = first_unit; i < last_unit; ++i) {
    long long work = 0, longest = 0;
    for (int r = 0; r < units_[i].count; ++r) {
      const int tokens = readers_[units_[i].first + r].tokens;
      work += static_cast<long long>(tokens) * group_;
      longest = std::max<long long>(longest, tokens);
    }
    until.push_back(until.back() + work + 4 * longest);
  }
  Wave wave{first_row, last_row, {first_unit}};
  for (int thread = 1; thread <= threads_; ++thread) {
    const long long goal = until.back() * thread / threads_;
    const auto at = std::lower_bound(until.begin(), until.end(), goal);
    wave.shares.push_back(first_unit + static_cast<int>(at - until.begin()));
  }
  waves_.push_back(std::move(wave));
}

}  // namespace anabranch
