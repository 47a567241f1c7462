// The lanes of one answer: a tree whose forks and joins are list operations on contexts.
#pragma once

#include <span>
#include <vector>

#include "backend.h"
#include "blocks.h"
#include "dialect.h"

namespace anabranch {

struct Lane {
  int id = 0;        // 0 is the trunk; branches in order of creation over the whole answer
  int stage = 0;     // a branch's stage, counted from 1; 0 for the trunk
  Context context;   // what the next token sees; the lane's own segment is the last
  std::vector<int> pending;  // chosen or forced, not yet forwarded
  bool live = true;  // still to be given tokens (pending ones may remain to be forwarded)

  const SegmentPtr& segment() const { return context.back(); }
  /// Position id of the next token that is not yet chosen.
  int next_position() const {
    return segment()->next_position() + static_cast<int>(pending.size());
  }
  /// Tokens of its own segment, pending ones included.
  int length() const { return segment()->length() + static_cast<int>(pending.size()); }
};

/// Where a lane's logits are after a step.
struct LaneLogits {
  int lane;
  int row;  // of the logits output
};

class LaneTree {
 public:
  /// The trunk, with an empty first segment at position 0.
  explicit LaneTree(BlockPool& pool);

  Lane& trunk() { return lanes_.front(); }
  std::vector<Lane>& lanes() { return lanes_; }
  const std::vector<Lane>& lanes() const { return lanes_; }
  /// The branches of the open stage, in title order; empty outside a stage.
  std::span<Lane> branches();
  bool in_stage() const { return branches_ > 0; }
  int stages() const { return stages_; }

  /// The trunk goes on in a segment of its own, which drop_segment() can take away again.
  void begin_segment();
  void drop_segment();

  /// Opens one branch for each opening (tokens it is forced to begin with). All start at the
  /// trunk's next position and see what the trunk sees. O(branches) pointer work.
  void fork(const std::vector<std::vector<int>>& openings);

  /// Closes the stage: the trunk sees its old context, the branches in title order, and a new
  /// segment at start + sum (or max) of the branches' lengths.
  void join(ResumeRule rule);

  /// Adds rows for pending tokens, at most `allowance` of them, lanes in order. `every_row` asks for
  /// logits of each row, else of the last pending token of a live lane. Returns which lanes get
  /// logits, in row order.
  std::vector<LaneLogits> add_rows(Batch& batch, int allowance, bool every_row);

  /// Lanes that the next step gives a token.
  int live_lanes() const;
  /// Rows that add_rows would like to add.
  int pending_rows() const;

  /// With siblings decoded one after another (a debugging aid), only the first live branch moves.
  void set_sequential(bool sequential) { sequential_ = sequential; }

 private:
  bool waits(const Lane& lane) const;

  BlockPool& pool_;
  std::vector<Lane> lanes_;
  int branches_ = 0;  // of the open stage: the last ones in lanes_
  int stages_ = 0;
  bool sequential_ = false;
};

}  // namespace anabranch
