#include "backends/attention_plan.h"

#include <algorithm>
#include <utility>

namespace anabranch {
namespace {

/// Query heads of one unit: many enough to pay for reading the piece, few enough to share out.
constexpr int kUnitQueries = 96;

/// What a unit costs. A tile of queries walks the tokens of its longest reader, and K and V are read
/// once, which costs about as much as computing with them a few times.
long long work_of(long long query_tokens, int longest) { return query_tokens + 4 * longest; }

int pieces_of(int tokens) { return (tokens + kKvChunkTokens - 1) / kKvChunkTokens; }

}  // namespace

AttentionPlan::AttentionPlan(int blocks, int slots, int kv_heads, int group, int threads)
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
int AttentionPlan::group_of(const int* blocks, int tokens) {
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

void AttentionPlan::build(const Batch& batch, std::span<const char> apart) {
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
    const int count = !apart.empty() && apart[row] ? 0 : batch.rows[row].spans;
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
      for (int first = 0; first < spans[s].length; first += kKvChunkTokens) {
        const int tokens = std::min(kKvChunkTokens, spans[s].length - first);
        const int group = group_of(spans[s].blocks + first / kBlockTokens, tokens);
        ++groups_[group].readers;
        entries_.push_back({group, {row, tokens, used++}});
      }
    }
  }
  close_wave(first_row, rows);
}

/// Brings the wave's readers together by group, and cuts the groups into units.
void AttentionPlan::close_wave(int first_row, int last_row) {
  int begin = static_cast<int>(readers_.size());
  readers_.resize(readers_.size() + entries_.size());
  const int first_unit = static_cast<int>(units_.size());
  const auto most = [&](const Group& group) {
    return work_of(static_cast<long long>(group.readers) * group.tokens * group_, group.tokens);
  };
  long long all = 0;
  for (const Group& group : groups_) all += most(group) * kv_heads_;
  const long long fair = std::max(1LL, all / threads_);
  for (Group& group : groups_) {
    group_at_[group.blocks[0]] = -1;
    group.placed = begin;
    tokens_ += group.tokens;
    const int queries = group.readers * group_;
    const auto parts_of = [&](int size) { return (queries + size - 1) / size; };
    // No unit is more than one thread's part of the whole, nor cut below what walks a piece together.
    const auto wanted = static_cast<int>((most(group) + fair - 1) / fair);
    const int parts = std::min(group.readers, std::max(parts_of(kUnitQueries),
                                                       std::min(parts_of(kMaxQueriesPerItem), wanted)));
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
  waves_.push_back(deal(first_row, last_row, first_unit));
}

/// Deals the units from `first_unit` on out to the threads: the one with the most work first, each to
/// the thread that has least. Each thread's lie together, in the order in which they were.
AttentionPlan::Wave AttentionPlan::deal(int first_row, int last_row, int first_unit) {
  const std::vector<WorkItem> units(units_.begin() + first_unit, units_.end());
  std::vector<long long> work;
  std::vector<int> order;
  for (const WorkItem& unit : units) {
    long long query_tokens = 0;
    int longest = 0;
    for (int r = 0; r < unit.count; ++r) {
      const int tokens = readers_[unit.first + r].tokens;
      query_tokens += static_cast<long long>(tokens) * group_;
      longest = std::max(longest, tokens);
    }
    work.push_back(work_of(query_tokens, longest));
    order.push_back(static_cast<int>(order.size()));
  }
  std::stable_sort(order.begin(), order.end(), [&](int a, int b) { return work[a] > work[b]; });
  std::vector<long long> load(threads_);
  std::vector<int> thread_of(units.size());
  for (const int unit : order) {
    const auto least = std::min_element(load.begin(), load.end());
    *least += work[unit];
    thread_of[unit] = static_cast<int>(least - load.begin());
  }
  Wave wave{first_row, last_row, {first_unit}};
  std::sort(order.begin(), order.end(), [&](int a, int b) {
    return std::pair(thread_of[a], a) < std::pair(thread_of[b], b);
  });
  size_t placed = 0;
  for (int thread = 0; thread < threads_; ++thread) {
    for (; placed < order.size() && thread_of[order[placed]] == thread; ++placed) {
      units_[first_unit + placed] = units[order[placed]];
    }
    wave.shares.push_back(first_unit + static_cast<int>(placed));
  }
  return wave;
}

}  // namespace anabranch
