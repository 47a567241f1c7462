// Which rows of a batch read which pieces of context, so that each is read once for all of them.
#pragma once

#include <span>
#include <vector>

#include "backends/backend.h"

namespace anabranch {

/// Tokens of context that attention treats as one piece, at fixed offsets within a segment.
inline constexpr int kKvChunkTokens = 256;

/// Query heads that walk a block of K or V together on a CPU, at the most.
inline constexpr int kMaxQueriesPerItem = 12;

/// The attention of one batch, planned once for all layers. Rows share a piece where their spans
/// name the same blocks, whatever requests they belong to. A plan is cut into waves of rows, so
/// that partial results of any batch fit a bounded scratch.
class AttentionPlan {
 public:
  /// A row's part in a piece.
  struct QueryRead {
    int row = 0;
    int tokens = 0;
    int slot = 0;  // of its partial results
  };

  /// A run of readers of one piece, for one KV head: what one thread does in one go.
  struct WorkItem {
    const int* blocks = nullptr;
    int first = 0;  // readers [first, first + count)
    int count = 0;
    int kv_head = 0;
  };

  /// Rows [first_row, last_row), each with slots [first_slot(row), first_slot(row + 1)).
  struct Wave {
    int first_row = 0;
    int last_row = 0;
    std::vector<int> shares;  // [threads + 1]: thread i does units [shares[i], shares[i + 1])
  };

  AttentionPlan() = default;
  /// For blocks numbered below `blocks`. `slots` bounds the partial results of one wave; it must be
  /// enough for one row that reads every block.
  AttentionPlan(int blocks, int slots, int kv_heads, int group, int threads);

  /// Rows that `apart` marks, where it is given, read their context in another way: they get no slots.
  void build(const Batch& batch, std::span<const char> apart = {});

  const std::vector<Wave>& waves() const { return waves_; }
  const WorkItem& unit(int index) const { return units_[index]; }
  const std::vector<QueryRead>& readers() const { return readers_; }
  int first_slot(int row) const { return first_slot_[row]; }
  int slots_of(int row) const { return slots_[row]; }

  /// Tokens of context that the batch's planned rows read, each piece counted once.
  long long tokens() const { return tokens_; }

 private:
  struct Group {
    const int* blocks = nullptr;  // as far as the longest reader reads
    int tokens = 0;               // of the longest reader
    int readers = 0;
    int placed = 0;
    int next = -1;                // another group that begins with the same block
  };
  struct Entry {
    int group;
    QueryRead reader;
  };

  int group_of(const int* blocks, int tokens);
  void close_wave(int first_row, int last_row);
  Wave deal(int first_row, int last_row, int first_unit);

  int slot_limit_ = 0, kv_heads_ = 0, group_ = 0, threads_ = 0;
  std::vector<int> group_at_;  // [blocks]: the group that begins with this block, or -1
  std::vector<Group> groups_;    // of the wave being built
  std::vector<Entry> entries_;   // of the wave being built
  std::vector<QueryRead> readers_;  // by group, in row order
  std::vector<WorkItem> units_;
  std::vector<int> first_slot_, slots_;  // [rows]
  std::vector<Wave> waves_;
  long long tokens_ = 0;
};

}  // namespace anabranch
